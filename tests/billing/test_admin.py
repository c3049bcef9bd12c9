"""Staff look at everything, and do only what they may."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse
from djstripe import models as mirror

from billing import models
from billing.models import ReconciliationRun, SubscriptionState, WebhookEvent
from tests.factories.accounts import UserFactory
from tests.support.stripe import jobs

pytestmark = pytest.mark.django_db
VIEWS = [model for model in admin.site._registry if model._meta.app_label in ("billing", "djstripe")]


def staff(client, *permissions):
    user = UserFactory(is_staff=True)
    for model in VIEWS:
        user.user_permissions.add(
            Permission.objects.get(codename=f"view_{model._meta.model_name}", content_type__app_label=model._meta.app_label)
        )
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def act(client, model, action, row, **more):
    url = reverse(f"admin:billing_{model._meta.model_name}_changelist")
    return client.post(url, {"action": action, "_selected_action": [row.pk], **more}, follow=True)


def test_every_model_of_billing_is_shown():
    shown = {model for model in VIEWS if model._meta.app_label == "billing"}
    assert shown == {getattr(models, name) for name in models.__all__}


@pytest.mark.parametrize("model", VIEWS, ids=lambda model: model._meta.label)
def test_lists_and_pages_open(client, payer, model):
    payer.buy()
    staff(client)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert client.get(reverse(f"{name}_changelist")).status_code == 200
    assert client.get(reverse(f"{name}_changelist") + "?q=acme").status_code == 200
    row = model.objects.first()
    if row:
        page = client.get(reverse(f"{name}_change", args=[row.pk]))
        assert page.status_code == 200
        assert b'name="_save"' not in page.content
        assert client.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403
        assert client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert client.get(reverse(f"{name}_add")).status_code == 403


def test_who_may_not_look_sees_nothing(client, payer):
    payer.buy()
    client.force_login(UserFactory(is_staff=True))
    for model in VIEWS:
        assert client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")).status_code == 403


def test_who_may_only_look_cannot_act(client, payer):
    payer.buy()
    payer.world.sdk.subscriptions.cancel(payer.state.stripe_subscription_id)
    staff(client)
    event = WebhookEvent.objects.first()
    act(client, WebhookEvent, "replay", event)
    assert not jobs()
    act(client, models.BillingAccount, "sync", payer.account)
    act(client, models.BillingAccount, "reconcile", payer.account)
    act(client, SubscriptionState, "sync", payer.state)
    act(client, SubscriptionState, "move", payer.state, confirmed="1")
    assert payer.state.status == "active"
    assert not ReconciliationRun.objects.exists()


def test_dj_stripes_own_actions_have_no_address(client, payer):
    payer.buy()
    staff(client)
    row = mirror.Subscription.objects.get()
    for path in (
        f"/admin/djstripe/subscription/{row.pk}/cancel/",
        "/admin/djstripe/subscription/action/_cancel/",
        "/admin/djstripe/customer/action/x/",
    ):
        client.post(path, {"_selected_action": [row.pk]})
    assert payer.world.sdk.subscriptions.retrieve(row.id).status == "active"


def test_replaying_a_dead_letter(client, payer):
    payer.buy()
    event = WebhookEvent.objects.exclude(subject="").first()
    WebhookEvent.objects.filter(pk=event.pk).update(state="dead", attempts=8)
    staff(client, "replay_webhookevent")
    assert b"1 queued" in act(client, WebhookEvent, "replay", event).content
    event.refresh_from_db()
    assert (event.state, event.attempts) == ("pending", 0)
    assert len(jobs()) == 1


def test_looking_at_stripe_and_reconciling(client, payer):
    payer.buy()
    staff(client, "operate_billing")
    payer.world.sdk.subscriptions.cancel(payer.state.stripe_subscription_id)
    assert b"1 looked at" in act(client, models.BillingAccount, "sync", payer.account).content
    assert payer.state.status == "canceled"
    SubscriptionState.objects.update(status="active")
    assert b"1 compared" in act(client, models.BillingAccount, "reconcile", payer.account).content
    assert payer.state.status == "canceled"
    assert b"1 looked at" in act(client, SubscriptionState, "sync", payer.state).content


def test_a_stripe_that_is_down_is_said(client, payer):
    payer.buy()
    staff(client, "operate_billing")
    payer.world.control("down", on=True)
    for model, action, row in (
        (models.BillingAccount, "sync", payer.account),
        (models.BillingAccount, "reconcile", payer.account),
        (SubscriptionState, "sync", payer.state),
    ):
        assert b"does not answer" in act(client, model, action, row).content
    payer.world.control("down", on=False)


def test_moving_shows_a_preview_first(client, payer):
    payer.buy()
    staff(client, "operate_billing")
    page = act(client, SubscriptionState, "move", payer.state)
    assert b"All of them have the newest version already" in page.content
    assert b"0 of 0 moved" in act(client, SubscriptionState, "move", payer.state, confirmed="1").content
