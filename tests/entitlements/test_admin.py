"""The admin of entitlements: staff view plan versions, and add and end grants and overrides."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import AuditEvent, User
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant, Override
from tests.factories.entitlements import GrantFactory

DAY = timedelta(days=1)


@pytest.fixture
def staff(db):
    client = Client()
    client.force_login(User.objects.create_superuser("staff@example.com", "x"))
    return client


def post_grant(staff, acme, *, follow=False, **more):
    version = EntitlementsManager.version("pro")
    params = {"organization": acme.pk, "plan_version": version.pk, "source": "gift", "reason": "Kindness", **more}
    params = {name: value for name, value in params.items() if value is not None}
    return staff.post("/admin/entitlements/grant/add/", params, follow=follow)


def run(staff, model, action, rows, **more):
    params = {"action": action, "_selected_action": [row.pk for row in rows], "confirmed": "1", "reason": "Ticket 7", **more}
    return staff.post(f"/admin/entitlements/{model}/", params, follow=True)


def test_a_gift_is_given_and_ended(staff, acme):
    assert post_grant(staff, acme).status_code == 302
    assert EntitlementsManager(acme).entitlements().source == "gift"
    assert AuditEvent.objects.get(action="grant.created").actor_user.email == "staff@example.com"
    assert b"Kindness" in staff.get("/admin/entitlements/grant/").content
    assert b"Enter a reason." in run(staff, "grant", "end_now", Grant.objects.all(), reason="").content
    assert EntitlementsManager(acme).entitlements().plan == "pro"
    assert b"1 grant ended" in run(staff, "grant", "end_now", Grant.objects.all()).content
    assert EntitlementsManager(acme).entitlements().plan == "free"
    event = AuditEvent.objects.get(action="grant.ended")
    assert (event.actor_user.email, event.reason, event.before["ends_at"]) == ("staff@example.com", "Ticket 7", None)
    assert event.after["ends_at"]
    assert b"already ended" in run(staff, "grant", "end_now", Grant.objects.all()).content


@pytest.mark.parametrize("wrong", [{"reason": ""}, {"source": "subscription"}, {"ends_at_0": "2020-01-01", "ends_at_1": "00:00"}])
def test_an_invalid_gift_is_reported_in_the_form(staff, acme, wrong):
    assert post_grant(staff, acme, **wrong).status_code == 200
    assert not Grant.objects.exists()


def test_grant_form_shows_what_changes(staff, acme):
    page = post_grant(staff, acme, follow=True)
    assert "The plan in effect is now Pro (gift). Previously: Free (free)." in [str(each) for each in page.context["messages"]]
    page = post_grant(staff, acme, follow=True, starts_at_0="2099-01-01", starts_at_1="00:00")
    assert "The grant was added. The plan in effect is still Pro (gift)." in [str(each) for each in page.context["messages"]]


def test_a_closed_organization_gets_no_grants(staff, acme):
    acme.closed_at = now(acme)
    acme.save()
    page = post_grant(staff, acme)
    assert (page.status_code, b"This organization is closed." in page.content, b"Kindness" in page.content) == (200, True, True)
    params = {"organization": acme.pk, "feature": "sessions", "value": "7", "reason": "x"}
    assert b"This organization is closed." in staff.post("/admin/entitlements/override/add/", params).content
    assert (Grant.objects.count(), Override.objects.count()) == (0, 0)


def test_the_pages_show_creator_and_reason(staff, acme):
    post_grant(staff, acme)
    page = staff.get(f"/admin/entitlements/grant/{Grant.objects.get().pk}/change/").text
    for text in ("staff@example.com", "Kindness", "Anchor", "Lapsed", "Reference", "in effect"):
        assert text in page
    EntitlementsManager(acme).override("sessions", None, reason="A promise", actor=User.objects.get(email="staff@example.com"))
    page = staff.get(f"/admin/entitlements/override/{Override.objects.get().pk}/change/").text
    for text in ("staff@example.com", "A promise", "unlimited", "in effect"):
        assert text in page


def test_the_list_distinguishes_expired_overrides(staff, acme):
    manager = EntitlementsManager(acme)
    old = manager.override("sessions", 7, reason="x", ends_at=now(acme) + DAY)
    acme.clock_offset = 2 * DAY
    acme.save()
    assert "expired" in staff.get("/admin/entitlements/override/").text
    assert b"already ended" in run(staff, "override", "end_now", [old]).content
    manager.override("projects", 7, reason="x")
    assert "in effect" in staff.get("/admin/entitlements/override/").text


def test_a_gift_can_have_its_dates(staff, acme):
    starts, ends = now(acme) + DAY, now(acme) + 3 * DAY
    dates = {
        f"{name}_{part}": at.strftime(how)
        for name, at in [("starts_at", starts), ("ends_at", ends)]
        for part, how in [(0, "%Y-%m-%d"), (1, "%H:%M:%S")]
    }
    assert post_grant(staff, acme, **dates).status_code == 302
    assert Grant.objects.get().ends_at == ends.replace(microsecond=0)


def test_a_subscriptions_grant_cannot_be_ended(staff, acme):
    grant = GrantFactory(organization=acme)
    assert b"belongs to a subscription" in run(staff, "grant", "end_now", [grant]).content
    grant.refresh_from_db()
    assert grant.ends_at is None


def test_an_override_is_given_and_ended(staff, acme):
    params = {"organization": acme.pk, "feature": "sessions", "value": "7", "reason": "A promise"}
    assert staff.post("/admin/entitlements/override/add/", params).status_code == 302
    assert EntitlementsManager(acme).require("sessions").limit == 7
    assert b"A promise" in staff.get("/admin/entitlements/override/").content
    assert b"1 override ended" in run(staff, "override", "end_now", Override.objects.all()).content
    assert EntitlementsManager(acme).require("sessions").limit == 50


def test_unlimited_is_shown_instead_of_a_missing_number(staff, acme):
    params = {"organization": acme.pk, "feature": "sessions", "value": "", "unlimited": "on", "reason": "A promise"}
    page = staff.post("/admin/entitlements/override/add/", params, follow=True)
    assert "sessions = unlimited" in page.text
    assert EntitlementsManager(acme).require("sessions").limit is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": "true"},
        {"value": ""},
        {"value": "7", "unlimited": "on"},
        {"feature": "white_label", "value": "", "unlimited": "on"},
        {"value": "{"},
        {"feature": "white_label", "value": "3"},
        {"ends_at_0": "2020-01-01", "ends_at_1": "00:00"},
        {"feature": "magic"},
    ],
)
def test_an_invalid_override_is_reported_in_the_form(staff, acme, wrong):
    params = {"organization": acme.pk, "feature": "sessions", "value": "7", "reason": "x", **wrong}
    assert staff.post("/admin/entitlements/override/add/", params).status_code == 200
    assert not Override.objects.exists()


def test_plan_versions_are_read_only(staff, acme):
    version = EntitlementsManager.version("pro")
    GrantFactory(organization=acme, plan_version=version)
    page = staff.get("/admin/entitlements/planversion/")
    assert page.status_code == 200
    address = f"/admin/entitlements/planversion/{version.pk}/change/"
    assert staff.get(address).status_code == 200
    assert staff.post(address, {"version": 7}).status_code == 403
    assert staff.get("/admin/entitlements/planversion/add/").status_code == 403
    assert staff.post(f"/admin/entitlements/planversion/{version.pk}/delete/").status_code == 403


def test_customers_cannot_open_the_admin(acme):
    client = Client()
    client.force_login(acme.members.get())
    assert client.get("/admin/entitlements/grant/").status_code == 302
