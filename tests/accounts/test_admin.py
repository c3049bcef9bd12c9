"""The admin of accounts: staff can view everything, changes go through the services, secrets are not shown."""

from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client

from accounts.errors import KeyRevoked
from accounts.manager import AuthManager
from accounts.models import ApiKey, AuditEvent, Invitation, Membership, User
from accounts.services.invitations import digest
from contextmcp.common.clock import now
from tests.factories.accounts import UserFactory, key_of

PAGES = ["user", "organization", "membership", "invitation", "apikey", "auditevent"]


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root@staff.example", "x")


@pytest.fixture
def staff(root):
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def everything(owner, member):
    Invitation.objects.create(organization=owner.organization, email="g@new.example", token_digest=digest("t"), expires_at=now())
    return owner.key


@pytest.mark.parametrize("name", PAGES)
def test_every_list_and_page_opens_and_shows_no_secret(staff, everything, name):
    row = ApiKey.objects.get()
    listing = staff.get(f"/admin/accounts/{name}/?q=a")
    assert listing.status_code == 200
    first = User._meta.apps.get_model("accounts", name).objects.first()
    page = staff.get(f"/admin/accounts/{name}/{first.pk}/change/")
    assert page.status_code == 200
    for text in (listing.content.decode(), page.content.decode()):
        for secret in (everything[25:], row.bcrypt_hash, bytes(row.hmac).hex(), digest("t").hex()):
            assert secret not in text


@pytest.mark.parametrize("name", PAGES)
def test_customers_and_staff_without_permission_see_nothing(everything, owner, name):
    client = Client()
    client.force_login(owner.user)
    assert client.get(f"/admin/accounts/{name}/").status_code == 302
    client.force_login(UserFactory(is_staff=True))
    assert client.get(f"/admin/accounts/{name}/").status_code == 403


@pytest.mark.parametrize("name", ["organization", "membership", "invitation", "apikey", "auditevent"])
def test_objects_cannot_be_added_or_deleted(staff, everything, name):
    first = User._meta.apps.get_model("accounts", name).objects.first()
    assert staff.get(f"/admin/accounts/{name}/add/").status_code == 403
    assert staff.post(f"/admin/accounts/{name}/{first.pk}/delete/", {"post": "yes"}).status_code == 403


def _act(client, name, action, *rows, **more):
    params = {"action": action, "_selected_action": [str(row.pk) for row in rows], "confirmed": "1", "reason": "Ticket 7", **more}
    return client.post(f"/admin/accounts/{name}/", params, follow=True)


def test_revoking_a_key(staff, root, everything):
    assert _act(staff, "apikey", "revoke", ApiKey.objects.get()).status_code == 200
    with pytest.raises(KeyRevoked):
        AuthManager.authenticate(everything)
    event = AuditEvent.objects.get(action="key.revoked")
    assert (event.actor_user, event.reason) == (root, "Ticket 7")


def test_ending_actions_require_confirmation_and_a_reason(staff, everything, acme, member):
    for name, action, row in (
        ("apikey", "revoke", ApiKey.objects.get()),
        ("organization", "close", acme),
        ("membership", "remove", member.membership),
    ):
        assert b"Reason" in staff.post(f"/admin/accounts/{name}/", {"action": action, "_selected_action": str(row.pk)}).content
        assert b"Enter a reason." in _act(staff, name, action, row, reason=" ").content
    acme.refresh_from_db()
    assert (acme.closed_at, ApiKey.objects.get().revoked_at) == (None, None)
    assert Membership.objects.filter(pk=member.membership.pk).exists()
    assert "1 organization closed" in _act(staff, "organization", "close", acme).text


def test_a_key_is_found_by_its_hint_or_beginning(staff, everything):
    key = ApiKey.objects.get()
    for quoted in (key.hint, key.hint[:-1], everything[:26], everything):
        page = staff.get("/admin/accounts/apikey/", {"q": quoted}, follow=True)
        assert [row.pk for row in page.context["cl"].queryset] == [key.pk]
        assert everything[25:] not in page.request["QUERY_STRING"]


def test_view_permission_does_not_allow_actions(everything, acme, member):
    user = UserFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts", codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    _act(client, "apikey", "revoke", ApiKey.objects.get())
    _act(client, "organization", "close", acme)
    _act(client, "membership", "remove", member.membership)
    acme.refresh_from_db()
    assert ApiKey.objects.get().revoked_at is None
    assert acme.closed_at is None
    assert Membership.objects.filter(pk=member.membership.pk).exists()


def test_closing_an_organization(staff, acme):
    for _ in range(2):
        _act(staff, "organization", "close", acme)
    acme.refresh_from_db()
    assert acme.closed_at is not None
    assert AuditEvent.objects.filter(action="organization.closed").count() == 1


INLINE = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


def test_refusal_is_shown_on_the_page(staff, acme, owner):
    url = f"/admin/accounts/user/{owner.user.pk}/change/"
    taken = UserFactory(email="taken@else.example")
    page = staff.post(url, {"email": taken.email, "name": "N", "is_active": "on", "reason": "Ticket 7"} | INLINE, follow=True).text
    assert "already" in page
    assert "changed successfully" not in page
    assert not LogEntry.objects.exists()
    assert "must have an owner" in _act(staff, "membership", "remove", owner.membership).content.decode()


def test_roles_are_changed_by_the_action_with_a_reason_only(staff, acme, member):
    url = f"/admin/accounts/membership/{member.membership.pk}/change/"
    assert staff.post(url, {"role": "admin"}).status_code == 403
    assert Membership.objects.get(pk=member.membership.pk).role == "member"
    assert f'href="/admin/organizations/{acme.pk}/actions/change-role/?member={member.membership.pk}"' in staff.get(url).text


def test_every_form_of_the_admin_that_changes_rights_money_or_plans_requires_a_reason(rf, root):
    request = rf.get("/")
    request.user = root
    for model, model_admin in admin.site._registry.items():
        changes = [None] * model_admin.has_add_permission(request) + [model()] * model_admin.has_change_permission(request)
        for row in changes:
            if model._meta.label in {"billing.ReconciliationRun", "billing.PlanMigration"}:
                continue  # Their forms are those of staff actions.
            form = model_admin.get_form(request, row, change=row is not None)
            assert form.base_fields["reason"].required, model


def test_removing_a_member(staff, member):
    _act(staff, "membership", "remove", member.membership)
    assert not Membership.objects.filter(pk=member.membership.pk).exists()


def test_a_created_user_can_set_a_password_and_sign_in(staff):
    created = staff.post(
        "/admin/accounts/user/add/",
        {"email": "New@staff.example", "name": "N", "reason": "New colleague"} | INLINE,
    )
    assert created.status_code == 302, created.content.decode()
    user = User.objects.get(email="new@staff.example")
    assert not user.has_usable_password()
    assert [email.to for email in mail.outbox] == [["new@staff.example"]]
    url = f"/admin/accounts/user/{user.pk}/change/"
    assert (
        staff.post(url, {"email": user.email, "name": "N", "is_active": "on", "is_staff": "on", "reason": "Ticket 7"} | INLINE).status_code
        == 302
    )
    events = AuditEvent.objects.filter(action="user.changed").order_by("id")
    assert [event.before and event.before["is_active"] for event in events] == [None, True]
    assert [event.reason for event in events] == ["New colleague", "Ticket 7"]
    assert staff.post(f"/admin/accounts/user/{user.pk}/delete/", {"post": "yes"}).status_code == 403


def test_an_orphaned_key_is_labeled(staff, acme, owner, member):
    key_of(member.membership, ["usage:read"])
    AuthManager(acme).remove_member(owner.caller, member.membership.pk)
    assert "orphaned" in staff.get("/admin/accounts/apikey/").content.decode()


def test_users_and_organizations_are_found_by_address(staff, acme, owner, member):
    UserFactory(email="other@else.example")
    acme.email = "bills@elsewhere.example"
    acme.save(update_fields=["email"])
    for who in (owner, member):
        page = staff.get("/admin/accounts/organization/", {"q": who.user.email})
        assert [row.pk for row in page.context["cl"].queryset] == [acme.pk]


def test_second_factors_are_found_by_address(staff, owner, member):
    for person in (owner, member):
        Authenticator.objects.create(user=person.user, type=Authenticator.Type.TOTP, data={"secret": "x"})
    page = staff.get("/admin/mfa/authenticator/", {"q": owner.user.email})
    assert [row.user for row in page.context["cl"].queryset] == [owner.user]


def test_an_organization_on_a_test_clock_is_marked(staff, acme):
    assert "Stripe test clock," not in staff.get(f"/admin/accounts/organization/{acme.pk}/change/").text
    assert "real time" in staff.get("/admin/accounts/organization/").text
    acme.clock_offset, acme.test_clock_id = timedelta(days=14), "clock_1"
    acme.save(update_fields=["clock_offset", "test_clock_id"])
    note = "This organization uses a Stripe test clock that is 14 days ahead. Its dates are not in real time."
    assert note in staff.get(f"/admin/accounts/organization/{acme.pk}/change/").text
    assert "Stripe test clock, 14 days ahead" in staff.get("/admin/accounts/organization/").text
