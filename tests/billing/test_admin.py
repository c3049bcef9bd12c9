"""The admin of billing: staff can view everything, and do only what their permissions allow."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse
from djstripe import models as mirror

from accounts.models import AuditEvent
from billing import models
from billing.models import ReconciliationRun, SubscriptionState, WebhookEvent
from contextmcp.common.clock import now
from tests.factories.accounts import OrganizationFactory, UserFactory
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
    params = {"action": action, "_selected_action": [row.pk], "confirmed": "1", "reason": "Ticket 7", **more}
    return client.post(url, params, follow=True)


def recorded(action):
    """Return the only audit event of this action: actor, reason, and contents."""
    event = AuditEvent.objects.get(action=action)
    return event.actor_user.is_staff, event.reason, event.before, event.after


def test_every_model_of_billing_is_shown():
    """Models without permissions have no page: their rows are calculated, and the figures of the home page show them."""
    shown = {model for model in VIEWS if model._meta.app_label == "billing"}
    assert shown == {model for name in models.__all__ if (model := getattr(models, name))._meta.default_permissions}


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


def test_staff_without_view_permission_see_nothing(client, payer):
    payer.buy()
    client.force_login(UserFactory(is_staff=True))
    for model in VIEWS:
        assert client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")).status_code == 403


def test_staff_with_view_permission_have_no_actions(client, payer):
    payer.buy()
    payer.world.sdk.subscriptions.cancel(payer.state.stripe_subscription_id)
    staff(client)
    event = WebhookEvent.objects.first()
    act(client, WebhookEvent, "replay", event)
    assert not jobs()
    act(client, models.BillingAccount, "sync", payer.account)
    act(client, models.BillingAccount, "reconcile", payer.account)
    act(client, SubscriptionState, "sync", payer.state)
    assert payer.state.status == "active"
    assert not AuditEvent.objects.filter(reason="Ticket 7").exists()
    assert not ReconciliationRun.objects.exists()


def test_dj_stripes_actions_have_no_url(client, payer):
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
    assert b"Enter a reason." in act(client, WebhookEvent, "replay", event, reason="").content
    assert not jobs()
    assert b"1 event queued" in act(client, WebhookEvent, "replay", event).content
    event.refresh_from_db()
    assert (event.state, event.attempts) == ("pending", 0)
    before, after = {"state": "dead", "attempts": 8}, {"state": "pending", "attempts": 0}
    assert recorded("webhook_event.replayed") == (True, "Ticket 7", before, after)
    assert AuditEvent.objects.get(action="webhook_event.replayed").organization == payer.organization
    assert len(jobs()) == 1


def dead_event(payer):
    event = WebhookEvent.objects.exclude(subject="").first()
    WebhookEvent.objects.filter(pk=event.pk).update(state="dead", attempts=8, error="KeyError: 'plan'")
    return event


def test_discarding_a_dead_event_previews_names_the_organization_and_is_audited(client, payer):
    payer.buy()
    event = dead_event(payer)
    staff(client, "discard_webhookevent")
    page = act(client, WebhookEvent, "discard", event, reason="").text
    assert "Enter a reason." in page
    assert f"{payer.organization}: dead after 8 attempts, becomes discarded. Last error: KeyError: &#x27;plan&#x27;" in page
    assert WebhookEvent.objects.dead().exists()
    assert "1 event discarded." in act(client, WebhookEvent, "discard", event).text
    event.refresh_from_db()
    assert event.state == "discarded"
    assert not jobs()
    before = {"state": "dead", "attempts": 8, "error": "KeyError: 'plan'"}
    assert recorded("webhook_event.discarded") == (True, "Ticket 7", before, {"state": "discarded"})
    assert AuditEvent.objects.get(action="webhook_event.discarded").organization == payer.organization


def test_only_dead_events_are_discarded_and_a_discarded_one_can_be_replayed(client, payer):
    payer.buy()
    event = dead_event(payer)
    staff(client, "discard_webhookevent", "replay_webhookevent")
    act(client, WebhookEvent, "discard", event)
    assert "Only a dead event can be discarded" in act(client, WebhookEvent, "discard", event).text
    assert AuditEvent.objects.filter(action="webhook_event.discarded").count() == 1
    act(client, WebhookEvent, "replay", event)
    event.refresh_from_db()
    assert event.state == "pending"


def test_all_dead_letters_are_replayed_at_once(client, payer):
    events = [WebhookEvent(event_id=f"evt_{number}", type="x", payload={}, subject="cus_x", state="dead") for number in range(120)]
    WebhookEvent.objects.bulk_create(events)
    staff(client, "replay_webhookevent")
    everything = {"select_across": "1", "_selected_action": [WebhookEvent.objects.first().pk], "action": "replay"}
    url = reverse("admin:billing_webhookevent_changelist") + "?state__exact=dead"
    page = client.post(url, everything)
    assert (page.context["count"], page.context["others"], page.text.count("_selected_action")) == (120, 20, 1)
    confirmed = everything | {"confirmed": "1", "reason": "The outage"}
    WebhookEvent.objects.filter(event_id="evt_0").update(state="processed")
    assert "The selected rows have changed" in client.post(url, confirmed | {"expected": "120"}).text
    assert not AuditEvent.objects.filter(action="webhook_event.replayed").exists()
    client.post(url, confirmed | {"expected": "119"})
    assert AuditEvent.objects.filter(action="webhook_event.replayed", reason="The outage").count() == 119
    assert not WebhookEvent.objects.dead().exists()


def test_imported_customer_ids_of_events_are_links(client, acme):
    staff(client)
    models.BillingAccount.objects.create(organization=acme, stripe_customer_id="imported-7")
    things = {
        "imported-7": {"object": "invoice", "id": "in_1", "customer": "imported-7"},
        "imported-8": {"object": "customer", "id": "imported-8"},
        "price_1": {"object": "price", "id": "price_1"},
    }
    for number, (subject, thing) in enumerate(things.items()):
        WebhookEvent.objects.create(event_id=f"evt_{number}", type="x", subject=subject, payload={"data": {"object": thing}})
    page = client.get(reverse("admin:billing_webhookevent_changelist")).text
    accounts = reverse("admin:billing_billingaccount_changelist")
    assert [f'href="{accounts}?q={subject}"' in page for subject in things] == [True, True, False]
    assert rows_found(client, "billingaccount", "imported-7") == 1


def test_syncing_and_reconciling(client, payer):
    payer.buy()
    staff(client, "operate_billing")
    payer.world.sdk.subscriptions.cancel(payer.state.stripe_subscription_id)
    assert b"Enter a reason." in act(client, models.BillingAccount, "sync", payer.account, reason="").content
    assert payer.state.status == "active"
    assert b"1 customer synchronized" in act(client, models.BillingAccount, "sync", payer.account).content
    assert payer.state.status == "canceled"
    by_staff, reason, _, after = recorded("billing.synced")
    assert (by_staff, reason, bool(after["differences"])) == (True, "Ticket 7", True)
    SubscriptionState.objects.update(status="active")
    page = act(client, models.BillingAccount, "reconcile", payer.account)
    assert b"1 organization compared" in page.content and b"1 difference found" in page.content
    assert payer.state.status == "canceled"
    assert recorded("billing.reconciled")[:2] == (True, "Ticket 7")
    assert ReconciliationRun.objects.get().created_by.is_staff
    assert b"1 customer synchronized" in act(client, SubscriptionState, "sync", payer.state).content


def test_the_number_of_customers_synced_per_request_is_limited(client, payer):
    organizations = [OrganizationFactory() for _ in range(11)]
    rows = [models.BillingAccount.objects.create(organization=each, stripe_customer_id=f"cus_{each.pk}") for each in organizations]
    staff(client, "operate_billing")
    url = reverse("admin:billing_billingaccount_changelist")
    page = client.post(url, {"action": "sync", "_selected_action": [row.pk for row in rows]}, follow=True)
    assert b"Select at most 10 rows." in page.content


def test_stripe_outage_is_shown(client, payer):
    payer.buy()
    staff(client, "operate_billing")
    payer.world.control("down", on=True)
    for model, action, row in (
        (models.BillingAccount, "sync", payer.account),
        (SubscriptionState, "sync", payer.state),
    ):
        assert b"is not responding" in act(client, model, action, row).content
    payer.world.control("down", on=False)
    assert not AuditEvent.objects.filter(action="billing.synced").exists()


def test_amounts_are_shown_in_their_currency(client, payer):
    payer.buy()
    staff(client)
    invoice = models.Invoice.objects.get()
    models.Invoice.objects.update(amount_refunded=400, total=1997)
    pages = [client.get(reverse("admin:billing_invoice_changelist")).text]
    pages.append(client.get(reverse("admin:billing_invoice_change", args=[invoice.pk])).text)
    for page in pages:
        assert "$19.97" in page and "$4.00" in page
        assert "1997" not in page
    assert "$9.00" in pages[1] and "period_start" not in pages[1]
    state = payer.state
    state.upcoming_change = {"plan": "pro", "version": 1, "interval": "year", "amount": 9000, "at": 1_800_000_000}
    state.save()
    page = client.get(reverse("admin:billing_subscriptionstate_change", args=[state.pk])).text
    assert "pro v1, $90.00 per year, from Jan. 15, 2027" in page
    assert "$9.00" in page


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        ("drift", lambda organization, number: [{"run": ReconciliationRun.objects.create(organization=organization), "kind": "x"}]),
        ("reconciliationrun", lambda organization, number: [{"organization": organization}]),
        ("billingaction", lambda organization, number: [{"organization": organization, "kind": "x", "created_by": UserFactory()}]),
    ],
)
def test_the_number_of_queries_of_lists_is_constant(client, acme, django_assert_max_num_queries, model, rows):
    staff(client)
    chosen = next(each for each in VIEWS if each._meta.model_name == model)
    for number in range(20):
        for fields in rows(OrganizationFactory(), number):
            chosen.objects.create(**fields)
    with django_assert_max_num_queries(12):
        assert client.get(reverse(f"admin:billing_{model}_changelist")).status_code == 200


def rows_found(client, model, query):
    return client.get(reverse(f"admin:billing_{model}_changelist"), {"q": query}).context["cl"].result_count


def test_search_finds_invoices_and_refunds_by_payment_ids(client, payer):
    payer.buy()
    staff(client)
    charge = payer.world.sdk.charges.list({"customer": payer.customer}).data[0]
    other = OrganizationFactory()
    models.Invoice.objects.create(
        organization=other,
        stripe_invoice_id="in_other",
        status="paid",
        currency="usd",
        subtotal=1,
        total=1,
        amount_due=1,
        amount_paid=1,
        amount_remaining=0,
        created_at=now(),
    )
    refund = payer.world.sdk.refunds.create({"charge": charge.id, "amount": 100})
    dispute = payer.world.control("disputes", charge=charge.id)
    payer.world.deliver()
    for query in (charge.id, charge.payment_intent, models.Invoice.objects.exclude(organization=other).get().number):
        assert rows_found(client, "invoice", query) == 1, query
    for query in (refund.id, dispute["id"]):
        assert rows_found(client, "adjustment", query) == 1, query
    for query in (charge.id, charge.payment_intent):
        assert rows_found(client, "adjustment", query) == 2, query


def test_the_charges_of_a_deleted_customer_are_still_found(client, payer):
    payer.buy()
    staff(client)
    charge = payer.world.sdk.charges.list({"customer": payer.customer}).data[0]
    payer.world.sdk.customers.delete(payer.customer)
    payer.world.deliver()
    assert rows_found(client, "invoice", charge.id) == 1


def test_a_meter_report_is_found_by_its_identifier(client, payer):
    staff(client)
    for number in (1, 2):
        models.MeterReport.objects.create(
            organization=payer.organization,
            feature="sessions",
            stripe_customer_id=payer.customer,
            period_start=now(),
            sequence=number,
            units=1,
            identifier=f"meter-{number}",
            timestamp=now(),
        )
    assert rows_found(client, "meterreport", "meter-2") == 1


def test_refunds_and_checkouts_are_found_by_their_ids(client, acme):
    staff(client)
    models.Adjustment.objects.create(
        organization=acme,
        kind="refund",
        stripe_id="re_7",
        stripe_charge_id="ch_7",
        stripe_invoice_id="in_7",
        status="succeeded",
        amount=400,
        currency="usd",
        created_at=now(),
    )
    models.CheckoutAttempt.objects.create(organization=acme, plan="pro", interval="month", session_id="cs_test_7")
    for page, query in (("adjustment", "re_7"), ("adjustment", "ch_7"), ("adjustment", "in_7"), ("checkoutattempt", "cs_test_7")):
        assert client.get(reverse(f"admin:billing_{page}_changelist"), {"q": query}).context["cl"].result_count == 1
