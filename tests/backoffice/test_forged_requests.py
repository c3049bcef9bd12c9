"""Requests that another site makes a browser send are refused, and impersonation allows no other way to write."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Impersonation, Organization, SavedView, User
from entitlements.models import Grant
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db


def test_no_change_is_accepted_without_the_token_of_the_form(owner):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root@staff.example", "x"))
    acme = owner.organization
    urls = [
        reverse("backoffice:search"),
        reverse("backoffice:impersonate", args=[owner.membership.pk]),
        reverse("backoffice:stop-impersonation"),
        reverse("backoffice:action", args=[acme.pk, "close"]),
        reverse("backoffice:system-action", args=["reconcile-all"]),
        reverse("backoffice:publish-plans"),
        reverse("backoffice:test-alert"),
        reverse("backoffice:save-view", args=["accounts", "organization"]) + "?q=a",
        reverse("backoffice:export", args=["accounts", "organization"]),
        reverse("admin:accounts_workitem_changelist"),
        reverse("admin:accounts_organization_changelist"),
    ]
    for url in urls:
        assert client.post(url, {"confirmed": "1", "reason": "x", "name": "x", "q": "acme"}).status_code == 403, url
    assert not SavedView.objects.exists() and not Impersonation.objects.exists() and not Grant.objects.exists()


@pytest.fixture
def viewing(client, owner):
    support = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(support)
    client.post(reverse("backoffice:impersonate", args=[owner.membership.pk]), {"reason": "x"})
    assert Impersonation.objects.get().allows_changes is False
    return client


@pytest.mark.parametrize(
    "headers",
    [
        {"HX-Request": "true"},
        {"X-HTTP-Method-Override": "GET"},
        {"X-Method-Override": "GET"},
        {"Authorization": "Bearer x"},
        {"Authorization": ""},
        {"Content-Type": "application/json"},
    ],
)
def test_no_header_makes_a_read_only_view_writable(viewing, owner, headers):
    form = {"name": "Taken", "email": "taken@acme.example", "acting_for": str(owner.organization.pk), "_method": "GET"}
    for path in ("/account/settings/change/", "/account/settings/close/confirm/", "/account/keys/create/", "//account/settings/change/"):
        assert viewing.post(path, form, headers=headers).status_code in (302, 403, 404, 405)
    acme = Organization.objects.get(pk=owner.organization.pk)
    assert (acme.name, acme.closed_at, acme.api_keys.filter(name="Taken").count()) == ("Acme", None, 0)
    assert not AuditEvent.objects.filter(actor_user=owner.user, action__in=["organization.changed", "key.created"]).exists()


def test_a_form_from_before_the_end_changes_nothing_afterwards(viewing, owner):
    """Another tab still shows the member's settings."""
    viewing.post(reverse("backoffice:stop-impersonation"))
    form = {"name": "Taken", "email": "taken@acme.example", "acting_for": str(owner.organization.pk)}
    viewing.post("/account/settings/change/", form)
    assert Organization.objects.get(pk=owner.organization.pk).name == "Acme"


def test_a_deactivated_member_of_staff_sees_nothing_more(viewing):
    User.objects.filter(is_staff=True).update(is_active=False)
    assert viewing.get("/account/").url.startswith("/accounts/login/")


def test_the_impersonation_of_another_person_cannot_be_continued(viewing, client, owner):
    """The ID in the session is compared with the member of staff."""
    other = Client()
    other.force_login(UserFactory(is_staff=True, is_superuser=True))
    session = other.session
    session["impersonation"] = viewing.session["impersonation"]
    session.save()
    assert other.get("/account/").url == "/admin/"
