"""Staff read plan versions, and give and end grants and overrides."""

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


def post_grant(staff, acme, **more):
    version = EntitlementsManager.version("pro")
    given = {"organization": acme.pk, "plan_version": version.pk, "source": "gift", "reason": "Kindness", **more}
    return staff.post("/admin/entitlements/grant/add/", {name: value for name, value in given.items() if value is not None})


def run(staff, model, action, rows):
    return staff.post(f"/admin/entitlements/{model}/", {"action": action, "_selected_action": [row.pk for row in rows]}, follow=True)


def test_a_gift_is_given_and_ended(staff, acme):
    assert post_grant(staff, acme).status_code == 302
    assert EntitlementsManager(acme).entitlements().source == "gift"
    assert AuditEvent.objects.get(action="grant.given").actor_user.email == "staff@example.com"
    assert b"Kindness" in staff.get("/admin/entitlements/grant/").content
    assert b"1 ended" in run(staff, "grant", "end_now", Grant.objects.all()).content
    assert EntitlementsManager(acme).entitlements().plan == "free"
    assert b"already ended" in run(staff, "grant", "end_now", Grant.objects.all()).content


@pytest.mark.parametrize("wrong", [{"reason": ""}, {"source": "subscription"}, {"ends_at_0": "2020-01-01", "ends_at_1": "00:00"}])
def test_a_gift_that_makes_no_sense_is_refused_on_the_form(staff, acme, wrong):
    assert post_grant(staff, acme, **wrong).status_code == 200
    assert not Grant.objects.exists()


def test_a_gift_can_have_its_dates(staff, acme):
    starts, ends = now(acme) + DAY, now(acme) + 3 * DAY
    dates = {
        f"{name}_{part}": at.strftime(how)
        for name, at in [("starts_at", starts), ("ends_at", ends)]
        for part, how in [(0, "%Y-%m-%d"), (1, "%H:%M:%S")]
    }
    assert post_grant(staff, acme, **dates).status_code == 302
    assert Grant.objects.get().ends_at == ends.replace(microsecond=0)


def test_a_subscriptions_grant_is_not_ended_here(staff, acme):
    grant = GrantFactory(organization=acme)
    assert b"ends with the subscription" in run(staff, "grant", "end_now", [grant]).content
    grant.refresh_from_db()
    assert grant.ends_at is None


def test_an_override_is_given_and_ended(staff, acme):
    given = {"organization": acme.pk, "feature": "sessions", "value": "7", "reason": "A promise"}
    assert staff.post("/admin/entitlements/override/add/", given).status_code == 302
    assert EntitlementsManager(acme).require("sessions").limit == 7
    assert b"A promise" in staff.get("/admin/entitlements/override/").content
    assert b"1 ended" in run(staff, "override", "end_now", Override.objects.all()).content
    assert EntitlementsManager(acme).require("sessions").limit == 50


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": "true"},
        {"value": "{"},
        {"feature": "white_label", "value": "3"},
        {"until_0": "2020-01-01", "until_1": "00:00"},
        {"feature": "magic"},
    ],
)
def test_an_override_that_makes_no_sense_is_refused_on_the_form(staff, acme, wrong):
    given = {"organization": acme.pk, "feature": "sessions", "value": "7", "reason": "x", **wrong}
    assert staff.post("/admin/entitlements/override/add/", given).status_code == 200
    assert not Override.objects.exists()


def test_plan_versions_are_to_read(staff, acme):
    version = EntitlementsManager.version("pro")
    GrantFactory(organization=acme, plan_version=version)
    page = staff.get("/admin/entitlements/planversion/")
    assert page.status_code == 200
    address = f"/admin/entitlements/planversion/{version.pk}/change/"
    assert staff.get(address).status_code == 200
    assert staff.post(address, {"version": 7}).status_code == 403
    assert staff.get("/admin/entitlements/planversion/add/").status_code == 403
    assert staff.post(f"/admin/entitlements/planversion/{version.pk}/delete/").status_code == 403


def test_members_have_no_business_there(acme):
    client = Client()
    client.force_login(acme.members.get())
    assert client.get("/admin/entitlements/grant/").status_code == 302
