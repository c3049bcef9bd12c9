"""Every admin page and action as every role: each can do what its permissions allow, and nothing responds with 500."""

from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.template.response import SimpleTemplateResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.models import AlertDelivery, AuditEvent, OperatorAlert, User, WorkItem
from billing.models import BillingAccount, BillingNotification, PlanMigration, PlanPrice, SubscriptionState, WebhookEvent
from contextmcp.backoffice import urls as backoffice_urls
from contextmcp.backoffice.roles import ROLES
from contextmcp.common.admin_base import ReadOnlyAdmin
from contextmcp.common.clock import now
from contextmcp.common.models import OutgoingEmail
from contextmcp.common.tasks import retry_emails
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import UserFactory
from tests.factories.oauth import connect_app
from tests.factories.service_keys import service_key
from tests.support.urls import example_path

pytestmark = pytest.mark.django_db
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
OURS = {"accounts", "entitlements", "usage", "billing", "djstripe", "common", "account", "mfa", "procrastinate", "allauth_idp_oidc"}
# The roles whose pages are rendered completely: the one that may view everything and change nothing, and the one that may do everything.
# Pages of other roles contain only parts of these.
RENDERED = {"view_only", "owner"}
WHO = ["anonymous", "customer", "no_permissions", "view_only", *ROLES, "owner"]


def client_of(who, owner):
    client = Client()
    if who == "customer":
        client.force_login(owner.user)
    elif who == "owner":
        client.force_login(User.objects.create_superuser("owner@staff.example", "x"))
    elif who != "anonymous":
        user = UserFactory(email=f"{who}@staff.example", is_staff=True)
        if who == "view_only":
            user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
        elif who != "no_permissions":
            user.groups.add(Group.objects.get(name=who))
        client.force_login(user)
    return client


def may_enter(who):
    return who not in {"anonymous", "customer"}


def may_view(who):
    return may_enter(who) and who != "no_permissions"


def changes():
    """Return the number of audited changes: all events but views of personal data and refused attempts."""
    return AuditEvent.objects.exclude(action__startswith="staff.").count()


def actions_of(who, model):
    """Return the actions that the pages offer to this member of staff."""
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(email=f"{who}@staff.example")
    return set(admin.site._registry[model].get_actions(request))


def test_only_pages_of_our_own_are_registered():
    assert {model._meta.app_label for model in MODELS} == OURS
    for model in MODELS:
        assert isinstance(admin.site._registry[model], ReadOnlyAdmin), model
        assert type(admin.site._registry[model]).__module__.split(".")[0] in {"accounts", "entitlements", "usage", "billing", "contextmcp"}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.usefixtures("light")
def test_every_page_requires_its_permission(who, owner, member, monkeypatch):
    if who not in RENDERED:
        monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "")
    client = client_of(who, owner)
    for model in MODELS:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = model.objects.order_by().first()
        key = row.pk if row is not None else str(UUID(int=0)) if model._meta.pk.get_internal_type() == "UUIDField" else "1"
        for page in (reverse(f"{name}_changelist"), reverse(f"{name}_changelist") + "?q=a", reverse(f"{name}_change", args=[key])):
            answer = client.get(page)
            if not may_enter(who):
                assert (answer.status_code, answer.url.startswith("/admin/login/")) == (302, True), page
            elif not may_view(who):
                assert answer.status_code == 403, page
            else:
                assert answer.status_code in ({200} if row is not None or "change/" not in page else {302}), page
        for page in (reverse(f"{name}_delete", args=[key]), reverse(f"{name}_history", args=[key])):
            assert client.get(page).status_code in {200, 302, 403}, page
        deleted = client.post(reverse(f"{name}_delete", args=[key]), {"post": "yes"})
        assert deleted.status_code in {302, 403}, name
        assert row is None or model.objects.filter(pk=row.pk).exists()
        added = client.get(reverse(f"{name}_add"))
        assert added.status_code in {200, 302, 403}, name
        allowed = who == "owner" or (who in ROLES and f"{model._meta.app_label}.add_{model._meta.model_name}" in ROLES[who])
        # Staff with the permission to operate billing can register a price that was created at Stripe.
        registers = model is PlanPrice and (who == "owner" or "billing.operate_billing" in ROLES.get(who, ()))
        read_only = "add" not in admin.site._registry[model].allowed_changes and not registers
        allowed = allowed or registers
        if may_enter(who) and (read_only or not allowed):
            assert added.status_code == 403, name


@pytest.mark.parametrize("who", ["no_permissions", "view_only", "viewer"])
@pytest.mark.usefixtures("light")
def test_viewers_have_no_actions_and_no_forms(who, owner):
    client = client_of(who, owner)
    before = changes()
    for model in MODELS:
        assert actions_of(who, model) == set(), model
        listing = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        row = model.objects.order_by().first()
        for action in admin.site._registry[model].actions or ():
            params = {"action": action, "_selected_action": [row.pk if row else "1"], "confirmed": "1", "reason": "x"}
            assert client.post(listing, params).status_code in {200, 302, 400, 403}, action
    assert changes() == before


def test_every_action_requires_confirmation_and_a_reason():
    for model in MODELS:
        for name in admin.site._registry[model].actions or ():
            assert getattr(getattr(type(admin.site._registry[model]), name), "confirmed_permission", ""), (model, name)


@pytest.fixture
def acted_on(owner):
    """Create a row of each model that has actions."""
    organization, user = owner.organization, owner.user
    started = {"started_at": now(), "anchor": now()}
    service_key()
    EntitlementsManager(organization).grant("pro", reason="A gift")
    EntitlementsManager(organization).override("sessions", 7, reason="A promise")
    BillingAccount.objects.create(organization=organization)
    SubscriptionState.objects.create(organization=organization, stripe_subscription_id="sub_1", status="active", **started)
    OperatorAlert.objects.create(code="x", message="x")
    AlertDelivery.objects.create(channel="webhook", event="opened", body="{}")
    PlanMigration.objects.create(to_version=EntitlementsManager.version("pro"), reason="x")
    WorkItem.objects.create(kind="dead_event", object_id="1", title="x")
    BillingNotification.objects.create(organization=organization, kind="receipt", object_id="in_1", transition="paid")
    WebhookEvent.objects.create(event_id="evt_1", type="x", payload={}, subject="cus_1")
    OutgoingEmail.objects.create(category="x", recipients=[user.email], from_email="a@b.example", subject="x", expires_at=now())
    retry_emails.configure(queueing_lock=None, lock=None).defer(timestamp=0)
    connect_app(owner.membership)
    assert owner.key
    with_actions = [model for model in MODELS if admin.site._registry[model].actions]
    assert all(model.objects.exists() for model in with_actions), [model for model in with_actions if not model.objects.exists()]
    return with_actions


@pytest.mark.parametrize("who", ["no_permissions", "view_only", *ROLES, "owner"])
@pytest.mark.usefixtures("light")
def test_action_pages_require_the_permission(who, owner, acted_on):
    client = client_of(who, owner)
    recorded = changes()
    for model in acted_on:
        listing = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        offered = actions_of(who, model)
        for name in admin.site._registry[model].actions:
            params = {"action": name, "_selected_action": [model.objects.order_by("pk").first().pk]}
            # An action that is not offered redirects to the list, which has no form of a confirmation.
            requested = client.post(listing, params)
            response = client.post(listing, params | {"confirmed": "1", "reason": " "})
            assert {requested.status_code, response.status_code} <= {200, 302, 403}, (model, name)
            shown = [b'name="confirmed"' in page.content for page in (requested, response)]
            assert shown == [name in offered] * 2, (model, name)
            assert (b"Enter a reason." in response.content) == (name in offered), (model, name)
    assert changes() == recorded


@pytest.mark.parametrize("who", [*ROLES, "owner"])
def test_a_role_has_the_actions_of_its_permissions(who, owner):
    client_of(who, owner)
    offered = {f"{model._meta.model_name}.{action}" for model in MODELS for action in actions_of(who, model)}
    support = {
        "user.send_password_reset",
        "user.reset_second_factor",
        "emailaddress.verify",
        "organization.close",
        "membership.remove",
        "apikey.revoke",
        "oauthgrant.disconnect",
        "outgoingemail.retry",
        "billingnotification.retry",
    }
    entitle = {"grant.end_now", "override.end_now"}
    operate = {
        "billingaccount.sync",
        "billingaccount.reconcile",
        "subscriptionstate.sync",
        "operatoralert.resolve",
        "alertdelivery.retry",
    }
    jobs = {"procrastinatejob.retry", "procrastinatejob.cancel"}
    moves = {"planmigration.stop", "planmigration.resume"}
    events = {"webhookevent.replay", "webhookevent.discard"}
    work = {f"workitem.{action}" for action in ("take", "assign", "snooze", "done", "reopen")}
    expected = {
        "viewer": set(),
        "support": support | entitle | work,
        "finance": operate | entitle | work,
        "engineer": operate | jobs | work | moves | events,
        "owner": support | entitle | operate | jobs | work | moves | events | {"servicekey.rotate", "servicekey.revoke"},
    }
    assert offered == expected[who]


@pytest.mark.parametrize("who", ["no_permissions", "view_only", *ROLES, "owner"])
def test_the_dashboard_shows_permitted_parts_only(who, owner):
    page = client_of(who, owner).get("/admin/")
    assert page.status_code == 200
    assert bool(page.context["metrics"]) == may_view(who)
    assert ("Acme" in page.text) == may_view(who)
    assert ("Newest organizations" in page.text, "Recent activity" in page.text) == (may_view(who), may_view(who))


@pytest.mark.parametrize("who", WHO)
def test_other_admin_urls_return_no_server_error(who, owner):
    client = client_of(who, owner)
    for path in ("jsi18n/", "search/?s=acme", "password_change/", "autocomplete/", "r/1/1/", "app/", "accounts/"):
        assert client.get(f"/admin/{path}").status_code < 500, path
    if who == "no_permissions":
        assert "Acme" not in client.get("/admin/search/?s=acme").text


def has_permission(who, permission):
    if permission is None or who == "owner":
        return may_enter(who)
    # Revenue is the only view that not every role has.
    is_view = permission.partition(".")[2].startswith("view_") and (who == "view_only" or permission != "billing.view_revenue")
    return (is_view and may_view(who)) or permission in ROLES.get(who, ())


def test_every_view_of_the_back_office_is_a_page_of_staff():
    others = {pattern.name for pattern in backoffice_urls.urlpatterns if not hasattr(pattern.callback, "staff_permission")}
    assert others == {"stop-impersonation"}  # It ends a session's impersonation, also of a person who is no longer staff.


@pytest.mark.parametrize("who", WHO)
@pytest.mark.usefixtures("light")
def test_every_view_requires_its_permission_and_refusals_are_audited(who, owner, member):
    """A view without its own permission may check one while rendering, as an action's page does."""
    client = client_of(who, owner)
    recorded, refused = changes(), set()
    for pattern in backoffice_urls.urlpatterns:
        path = "/admin" + example_path(pattern, owner.organization, membership_id=member.membership.pk)
        for method in ("GET", "POST"):
            if pattern.name == "stop-impersonation":
                continue
            permission = pattern.callback.staff_permission
            answer = client.generic(method, path)
            assert answer.status_code < 500, (method, path)
            is_sent_away = getattr(answer, "url", "").startswith("/admin/login/")
            is_refused = answer.status_code == 403 or is_sent_away
            if not may_enter(who):
                assert is_sent_away or answer.status_code == 405, (method, path)
            elif permission is not None:
                assert is_refused is not has_permission(who, permission) or answer.status_code == 405, (method, path)
            if is_refused and who != "anonymous":
                refused.add(f"{method} {path}")
    assert set(AuditEvent.objects.filter(action="staff.refused").values_list("target", flat=True)) == refused
    assert changes() == recorded
