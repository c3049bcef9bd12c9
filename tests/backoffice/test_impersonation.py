"""Staff view the product as a member: announced, limited, read-only, and without the member's credentials."""

from datetime import timedelta

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.errors import NotImpersonatable, PermissionDenied
from accounts.manager import AuthManager
from accounts.models import ApiKey, AuditEvent, Impersonation, Organization, User
from accounts.services import impersonation
from accounts.tasks import end_impersonations
from contextmcp.common.clock import now
from contextmcp.web.urls import urlpatterns as pages
from tests.factories.accounts import MembershipFactory, OrganizationFactory, UserFactory
from tests.support.urls import example_path

pytestmark = pytest.mark.django_db
STOP = "/admin/impersonation/stop/"


def person(role, *permissions):
    user = UserFactory(email=f"{role}@staff.example", name=role.title(), is_staff=True)
    if role != "no_permissions":
        user.groups.add(Group.objects.get(name=role))
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def support():
    return person("support")


@pytest.fixture
def viewing(client, support, owner):
    """A client of support that views the product as Acme's owner."""
    client.force_login(support)
    begin(client, owner)
    return client


def begin(client, member, **more):
    url = reverse("backoffice:impersonate", args=[member.membership.pk])
    answer = client.post(url, {"reason": "Ticket 7: the usage page looks wrong"} | more)
    assert (answer.status_code, answer.url) == (302, "/account/")
    return Impersonation.objects.get(ended_at=None)


def events(action):
    return list(AuditEvent.objects.filter(action=action))


def test_staff_see_the_members_pages_with_a_banner(viewing, owner):
    page = viewing.get("/account/")
    assert page.status_code == 200 and page.context["user"] == owner.user
    assert "Viewing as <strong>Olga Owner</strong> of <strong>Acme</strong>, read-only" in page.text
    assert f'action="{STOP}"' in page.text
    assert "Viewing as" in viewing.get("/admin/").text


def test_start_and_end_are_audited_for_the_organization(viewing, support, owner):
    viewing.post(STOP)
    started, ended = events("impersonation.started")[0], events("impersonation.ended")[0]
    for event in (started, ended):
        assert (event.organization, event.actor_user, event.target) == (owner.organization, support, "owner@acme.example")
    assert started.reason == "Ticket 7: the usage page looks wrong" and started.after["allows_changes"] is False
    assert ended.after["because"] == "stopped"


def test_the_form_names_the_member_and_requires_a_reason(client, support, owner):
    client.force_login(support)
    url = reverse("backoffice:impersonate", args=[owner.membership.pk])
    page = client.get(url)
    assert "Olga Owner" in page.text and "Acme" in page.text and "allows_changes" not in page.text
    assert "Enter a reason." in client.post(url, {"reason": " "}).text
    assert not Impersonation.objects.exists()


def test_the_staff_members_session_comes_back(client, support, owner, admin):
    """It stays signed in, its key is rotated on each change, and data stored during the impersonation is deleted."""
    other = MembershipFactory(user=support, organization=OrganizationFactory(name="Own"))
    client.force_login(support)
    session = client.session
    session["organization_id"] = str(other.organization_id)
    session["new_key"] = "the staff member's own secret"
    session.save()
    before, keys = dict(client.session.items()), [client.session.session_key]
    begin(client, owner)
    assert "new_key" not in client.session and client.session["organization_id"] == str(owner.organization.pk)
    keys.append(client.session.session_key)
    client.get("/account/")
    session = client.session
    session["form_draft"] = {"form": "x"}
    session.save()
    assert client.post(STOP).url == f"/admin/accounts/organization/{owner.organization.pk}/change/"
    keys.append(client.session.session_key)
    assert dict(client.session.items()) | {"_messages": ""} == before | {"_messages": ""}
    assert len(set(keys)) == 3
    assert client.get("/account/").context["user"] == support
    for key in keys[:2]:
        stale = Client()
        stale.cookies["sessionid"] = key
        assert stale.get("/account/").status_code == 302


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_no_page_accepts_a_change_read_only(viewing, owner, method):
    key, _ = AuthManager(owner.organization).generate_key(owner.caller, "CI")
    recorded = AuditEvent.objects.count()
    for pattern in pages:
        answer = getattr(viewing, method)(example_path(pattern, owner.organization, key_id=key.pk))
        assert answer.status_code == 403, pattern
    assert AuditEvent.objects.count() == recorded
    assert "Nothing was changed" in viewing.post("/account/settings/change/", {"name": "Taken"}).text
    assert Organization.objects.get(pk=owner.organization.pk).name == "Acme"
    key.refresh_from_db()
    assert key.revoked_at is None and ApiKey.objects.count() == 1


def test_every_page_opens_read_only_without_an_error(viewing, owner):
    for pattern in pages:
        answer = viewing.get(example_path(pattern, owner.organization))
        assert answer.status_code < 500, pattern
    assert viewing.session["impersonation"]


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/email/",
        "/accounts/profile/",
        "/accounts/delete/",
        "/account/settings/export/",
        "/account/exports/01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10/download/",
        "/accounts/password/change/",
        "/accounts/2fa/",
        "/accounts/2fa/totp/activate/",
        "/accounts/2fa/recovery-codes/",
        "/accounts/sessions/",
        "/oauth/authorize",
        "/api/organization",
        "/api/auth/keys",
    ],
)
def test_credentials_and_the_api_are_not_available(client, owner, path):
    client.force_login(person("support", "impersonate_with_changes"))
    begin(client, owner, allows_changes="on")
    for answer in (client.get(path), client.post(path)):
        assert answer.status_code == 403
        assert "not available while you view" in answer.text


def test_a_request_with_an_api_key_is_not_affected(viewing, stranger):
    answer = viewing.get("/api/organization", headers={"Authorization": f"Bearer {stranger.key}"})
    assert answer.json()["name"] == "Elsewhere"


def test_changes_require_the_second_permission_and_name_the_staff_member(client, owner):
    support = person("support", "impersonate_with_changes")
    client.force_login(support)
    row = begin(client, owner, allows_changes="on")
    assert row.allows_changes and "with changes allowed" in client.get("/account/").text
    client.post("/account/settings/change/", {"name": "Acme Inc", "email": "owner@acme.example", "acting_for": str(owner.organization.pk)})
    event = events("organization.changed")[0]
    assert (event.actor_user, event.impersonator, event.after["name"]) == (owner.user, support, "Acme Inc")
    client.post(STOP)
    assert events("impersonation.ended")[0].impersonator is None


def test_changes_are_not_allowed_with_the_first_permission_only(viewing, owner, support):
    viewing.post(STOP)
    assert begin(viewing, owner, allows_changes="on").allows_changes is False
    with pytest.raises(PermissionDenied):
        impersonation.start(support, owner.membership, "x", allows_changes=True)


@pytest.mark.parametrize("role", ["no_permissions", "viewer", "finance"])
def test_other_roles_cannot_view_as_a_member(client, owner, role):
    user = person(role)
    client.force_login(user)
    assert client.post(reverse("backoffice:impersonate", args=[owner.membership.pk]), {"reason": "x"}).status_code == 403
    with pytest.raises(PermissionDenied):
        impersonation.start(user, owner.membership, "x")


@pytest.mark.parametrize("change", [{"is_staff": True}, {"is_superuser": True}, {"is_active": False}])
def test_staff_and_inactive_users_cannot_be_viewed(client, support, owner, change):
    User.objects.filter(pk=owner.user.pk).update(**change)
    client.force_login(support)
    answer = client.post(reverse("backoffice:impersonate", args=[owner.membership.pk]), {"reason": "x"})
    assert "only as an active member" in answer.text
    assert not Impersonation.objects.exists()


def test_members_of_closed_organizations_cannot_be_viewed(support, owner):
    owner.organization.closed_at = now()
    with pytest.raises(NotImpersonatable):
        impersonation.start(support, owner.membership, "x")


def test_it_ends_after_an_hour(viewing, owner, support):
    with time_machine.travel(now() + timedelta(minutes=20)):
        assert viewing.get("/account/").context["user"] == owner.user
    with time_machine.travel(now() + timedelta(minutes=40)):
        assert viewing.get("/account/").status_code == 200
    with time_machine.travel(now() + timedelta(minutes=61)):
        assert viewing.post("/account/settings/change/", {"name": "Taken"}).url == "/admin/"
        assert viewing.get("/pricing/").context["user"] == support
    assert events("impersonation.ended")[0].after["because"] == "expired"


def test_a_forgotten_one_is_ended_by_the_worker(viewing):
    end_impersonations(0)
    assert not events("impersonation.ended")
    with time_machine.travel(now() + timedelta(minutes=61)):
        end_impersonations(0)
    assert events("impersonation.ended")[0].after["because"] == "expired"


@pytest.mark.parametrize("lost", ["permission", "membership", "closed", "became staff"])
def test_it_ends_when_it_is_no_longer_allowed(viewing, owner, support, lost):
    if lost == "permission":
        support.groups.clear()
    elif lost == "membership":
        MembershipFactory(organization=owner.organization, role="owner")
        owner.membership.delete()
    elif lost == "closed":
        Organization.objects.filter(pk=owner.organization.pk).update(closed_at=now())
    else:
        User.objects.filter(pk=owner.user.pk).update(is_staff=True)
    assert viewing.get("/account/").url == "/admin/"
    assert events("impersonation.ended")[0].after["because"] == "no longer allowed"
    assert viewing.get("/pricing/").context["user"] == support


def test_signing_out_ends_both(viewing):
    viewing.post("/accounts/logout/")
    assert viewing.get("/account/").status_code == 302
    assert events("impersonation.ended")[0].after["because"] == "signed out"


def test_a_second_one_ends_the_first(viewing, admin):
    begin(viewing, admin)
    assert viewing.get("/account/").context["user"] == admin.user
    assert [event.after["because"] for event in events("impersonation.ended")] == ["another one started"]
    viewing.post(STOP)
    assert "impersonation" not in viewing.session


def test_the_member_sees_only_the_named_organization(viewing, owner):
    MembershipFactory(user=owner.user, organization=OrganizationFactory(name="Private"), role="owner")
    assert "Private" not in viewing.get("/account/").text


def test_the_members_sessions_and_sign_ins_stay_as_they_were(viewing, owner):
    viewing.get("/account/")
    owner.user.refresh_from_db()
    assert owner.user.last_login is None
    assert not UserSession.objects.filter(user=owner.user).exists()
    assert not AuditEvent.objects.filter(action="user.signed_in", actor_user=owner.user).exists()


def test_it_starts_only_after_a_recent_authentication(client, support, owner):
    client.force_login(support)
    session = client.session
    session["signed_in_at"] -= 16 * 60
    session.save()
    support.set_password("a good password")
    support.save()
    client.force_login(support)
    session = client.session
    session["signed_in_at"] -= 16 * 60
    session.save()
    answer = client.post(reverse("backoffice:impersonate", args=[owner.membership.pk]), {"reason": "x"})
    assert answer.url.startswith("/accounts/reauthenticate/")
    assert not Impersonation.objects.exists()


def test_stopping_without_one_does_nothing(client, support):
    client.force_login(support)
    assert client.post(STOP).url == "/admin/"
    assert client.get(STOP).status_code == 405
    assert not events("impersonation.ended")


def test_the_database_limits_the_length_and_the_number(support, owner):
    shared = {"staff": support, "user": owner.user, "organization": owner.organization, "reason": "x", "started_at": now()}
    with pytest.raises(IntegrityError), transaction.atomic():
        Impersonation.objects.create(**shared, expires_at=now() + timedelta(minutes=62))
    Impersonation.objects.create(**shared, expires_at=now() + timedelta(minutes=59))
    with pytest.raises(IntegrityError), transaction.atomic():
        Impersonation.objects.create(**shared, expires_at=now() + timedelta(minutes=59))


def test_responses_without_a_session_do_not_vary_by_cookie(client):
    assert "Cookie" not in client.get("/livez").headers.get("Vary", "")


def test_the_organization_page_links_to_viewing_as_active_members(client, support, owner, member):
    client.force_login(support)
    User.objects.filter(pk=member.user.pk).update(is_active=False)
    page = client.get(reverse("admin:accounts_organization_change", args=[owner.organization.pk])).text
    if "/admin/impersonate/" not in page:
        page = client.get(reverse("backoffice:organization-section", args=[owner.organization.pk, "access"])).text
    assert f"/admin/impersonate/{owner.membership.pk}/" in page
    assert f"/admin/impersonate/{member.membership.pk}/" not in page
