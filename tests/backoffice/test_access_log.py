"""Views of personal data by staff, and refused attempts in the admin, are in the audit log."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import Group, Permission
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import audit
from accounts.models import AuditEvent, Invitation, User
from contextmcp.backoffice import access_log
from contextmcp.common.clock import now
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db


def person(role=None):
    user = UserFactory(email="helper@staff.example", is_staff=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


def targets(action):
    return sorted(AuditEvent.objects.filter(action=action).values_list("target", flat=True))


@pytest.fixture
def viewer(client):
    user = person("viewer")
    client.force_login(user)
    return client


def test_a_page_without_personal_data_opens_no_transaction(viewer):
    viewer.get("/admin/plans/")
    with CaptureQueriesContext(connection) as requested:
        assert viewer.get("/admin/entitlements/planversion/").status_code == 200
    assert [each["sql"] for each in requested if "SAVEPOINT" in each["sql"]] == []


def test_each_page_with_personal_data_is_recorded(viewer, owner):
    invitation = Invitation.objects.create(
        organization=owner.organization, email="a@b.example", token_digest=b"1", expires_at=now() + timedelta(1)
    )
    address = owner.user.emailaddress_set.get()
    rows = [owner.organization, owner.user, owner.membership, invitation, address]
    for row in rows:
        assert viewer.get(reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])).status_code == 200
    viewer.get("/admin/accounts/user/?q=a")
    assert targets("staff.viewed") == sorted([*(f"{row._meta.label_lower}:{row.pk}" for row in rows), "accounts.user:list"])
    event = AuditEvent.objects.get(action="staff.viewed", target__startswith="accounts.organization:")
    assert (event.organization, event.actor_user.email, event.ip_address) == (owner.organization, "helper@staff.example", "127.0.0.1")


def test_pages_without_personal_data_are_not_recorded(viewer):
    for path in ("", "billing/invoice/", "entitlements/planversion/", "find/", "jsi18n/"):
        viewer.get(f"/admin/{path}")
    assert targets("staff.viewed") == []


def test_a_view_is_recorded_once_per_person_object_and_hour(viewer, owner, member):
    page = reverse("admin:accounts_user_change", args=[owner.user.pk])
    with time_machine.travel(datetime(2026, 11, 28, 10, 5, tzinfo=UTC)) as clock:
        viewer.force_login(User.objects.get(email="helper@staff.example"))
        for minutes in (0, 20, 25):
            clock.shift(timedelta(minutes=minutes))
            viewer.get(page)
        assert len(targets("staff.viewed")) == 1
        viewer.get(reverse("admin:accounts_user_change", args=[member.user.pk]))
        assert len(targets("staff.viewed")) == 2
        clock.shift(timedelta(minutes=15))
        viewer.get(page)
        assert len(targets("staff.viewed")) == 3
        other = UserFactory(email="other@staff.example", is_staff=True)
        other.user_permissions.set(Permission.objects.filter(codename="view_user"))
        viewer.force_login(other)
        viewer.get(page)
    assert len(targets("staff.viewed")) == 4


def test_a_view_costs_one_insert(viewer, owner, django_assert_max_num_queries):
    page = reverse("admin:accounts_user_change", args=[owner.user.pk])
    viewer.get(page)
    with django_assert_max_num_queries(30) as captured:
        viewer.get(page)
    written = [query["sql"] for query in captured if "accounts_auditevent" in query["sql"]]
    assert len(written) == 1 and written[0].startswith("INSERT") and "ON CONFLICT DO NOTHING" in written[0]


def test_refused_pages_of_staff_are_recorded(client, owner):
    client.force_login(person())
    assert client.get(f"/admin/accounts/organization/{owner.organization.pk}/change/").status_code == 403
    assert client.post("/admin/accounts/servicekey/add/", {"name": "x"}).status_code == 403
    assert client.get("/admin/").status_code == 200
    assert targets("staff.refused") == [
        f"GET /admin/accounts/organization/{owner.organization.pk}/change/",
        "POST /admin/accounts/servicekey/add/",
    ]
    assert targets("staff.viewed") == []


def test_a_refused_action_of_a_list_is_recorded(viewer, owner):
    viewer.post("/admin/accounts/organization/", {"action": "close", "_selected_action": owner.organization.pk})
    event = AuditEvent.objects.get(action="staff.refused")
    assert (event.target, event.after) == ("POST /admin/accounts/organization/", {"action": "close"})


def test_an_allowed_action_of_a_list_is_not_a_refusal(client, owner):
    client.force_login(person("support"))
    client.post("/admin/accounts/organization/", {"action": "close", "_selected_action": owner.organization.pk})
    assert targets("staff.refused") == []


def test_attempts_of_customers_are_recorded_and_those_of_strangers_not(client, owner):
    client.get("/admin/accounts/user/")
    assert targets("staff.refused") == []
    client.force_login(owner.user)
    client.get("/admin/accounts/user/")
    client.get("/admin/login/")
    client.get("/account/")
    event = AuditEvent.objects.get(action="staff.refused")
    assert (event.target, event.actor_user, event.organization) == ("GET /admin/accounts/user/", owner.user, None)


def test_refusals_are_limited_per_person_and_minute(client, owner, stranger, monkeypatch):
    monkeypatch.setattr(access_log, "MAX_REFUSED_PER_MINUTE", 3)
    with time_machine.travel(datetime(2026, 11, 28, 10, 5, 10, tzinfo=UTC)) as clock:
        client.force_login(owner.user)
        for number in range(5):
            client.get(f"/admin/accounts/user/{number}/change/")
            client.get(f"/admin/accounts/user/{number}/change/")
        assert len(targets("staff.refused")) == 3
        client.force_login(stranger.user)
        client.get("/admin/accounts/user/1/change/")
        assert len(targets("staff.refused")) == 4
        clock.shift(timedelta(minutes=1))
        client.get("/admin/accounts/user/1/change/")
    assert len(targets("staff.refused")) == 5


def test_a_failure_to_record_does_not_fail_the_page(viewer, owner, monkeypatch, caplog):
    def fail(*args, **fields):
        raise DatabaseError

    monkeypatch.setattr(audit, "record", fail)
    assert viewer.get(reverse("admin:accounts_user_change", args=[owner.user.pk])).status_code == 200
    assert "was not recorded" in caplog.text
