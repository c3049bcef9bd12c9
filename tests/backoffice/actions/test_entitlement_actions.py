"""Staff grant and end plans and overrides."""

from datetime import timedelta

import pytest

from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant, Override
from tests.factories.usage import subscribe
from tests.support.staff_actions import errors, rows

pytestmark = pytest.mark.django_db


def day(days):
    return (now() + timedelta(days=days)).date().isoformat()


def entitlements(organization):
    return EntitlementsManager(organization).entitlements()


@pytest.fixture
def staff(staff_with):
    return staff_with("entitlements.add_grant", "entitlements.add_override")


def test_a_month_is_given_to_a_free_organization(acme, staff):
    page = staff.preview(acme, "grant-plan", plan="pro", source="gift", until=day(30))
    assert rows(page)["Plan in effect"] == ("Free v1 (no plan)", "Pro v1 (gift)")
    assert rows(page)["Sessions"] == ("50 a month", "1,000 a month")
    assert not page.context["preview"].warnings
    text = staff.act(acme, "grant-plan", plan="pro", source="gift", until=day(30))
    assert text == "Pro was granted. The plan in effect is Pro v1 (gift)."
    grant = Grant.objects.get()
    assert grant.ends_at.date().isoformat() == day(31) and grant.ends_at.hour == 0
    assert (grant.created_by, grant.reason) == (staff.user, "Ticket 7")
    event = staff.only_event("grant.created")
    assert (event.organization, event.before["plan"], event.after["plan"]) == (acme, "free v1", "pro v1")


def test_a_gift_of_the_paid_plan_changes_nothing_and_says_so(acme, staff):
    subscribe(acme)
    paid = entitlements(acme)
    page = staff.preview(acme, "grant-plan", plan="pro", source="gift", until=day(30))
    assert rows(page)["Plan in effect"] == ("Pro v1 (subscription)", "Pro v1 (subscription)")
    takes_precedence, billed = page.context["preview"].warnings
    assert takes_precedence.startswith("Pro (subscription) takes precedence")
    assert "continues to be billed" in billed
    staff.act(acme, "grant-plan", plan="pro", source="gift", until=day(30))
    assert (entitlements(acme).source, entitlements(acme).anchor) == ("subscription", paid.anchor)


def test_a_higher_gift_keeps_the_usage_months_of_the_subscription(acme, staff):
    subscribe(acme)
    paid = entitlements(acme)
    warnings = staff.preview(acme, "grant-plan", plan="enterprise", source="gift", no_end="on").context["preview"].warnings
    assert any("no overage is sold" in each for each in warnings)
    staff.act(acme, "grant-plan", plan="enterprise", source="gift", no_end="on")
    assert (entitlements(acme).plan, entitlements(acme).anchor) == ("enterprise", paid.anchor)


def test_a_gift_never_takes_away_what_a_payer_bought(acme, staff, monkeypatch):
    subscribe(acme)
    from entitlements.models import PlanVersion

    version = PlanVersion.objects.get(plan="enterprise")
    document = {**version.document, "features": {**version.document["features"]}}
    document["features"]["projects"] = {"kind": "gauge", "value": 3}
    PlanVersion.objects.create(plan="enterprise", version=99, document={**document, "version": 99})
    page = staff.preview(acme, "grant-plan", plan="enterprise", source="gift", no_end="on")
    assert "includes less than the customer pays for" in errors(page)[1]
    assert not Grant.objects.filter(source="gift").exists()


@pytest.mark.parametrize(
    ("values", "field", "text"),
    [
        ({}, "until", "Enter a last day or select “No end”."),
        ({"until": "2020-01-01"}, "until", "Enter a date in the future."),
        ({"until": "2999-01-01"}, "until", "Enter a date within the next ten years."),
        ({"until": "2999-01-01", "no_end": "on"}, "until", "Enter a date or select “No end”, but not both."),
        ({"plan": "free", "no_end": "on"}, "plan", "Select a valid choice"),
    ],
)
def test_the_end_of_a_grant_is_an_explicit_choice(acme, staff, values, field, text):
    page = staff.preview(acme, "grant-plan", **{"plan": "pro", "source": "gift", **values})
    assert text in str(errors(page)[2][field])


def test_a_gift_is_ended_from_the_page(acme, staff, staff_with):
    staff.act(acme, "grant-plan", plan="pro", source="staff", no_end="on")
    other = staff_with("entitlements.add_grant")
    grant = Grant.objects.get()
    page = other.preview(acme, "end-grant", grant=str(grant.pk))
    assert rows(page)["Plan in effect"] == ("Pro v1 (granted by staff)", "Free v1 (no plan)")
    assert other.act(acme, "end-grant", grant=str(grant.pk)) == "Pro was ended. The plan in effect is Free v1 (no plan)."
    assert other.only_event("grant.ended").organization == acme


def test_the_grant_of_a_subscription_cannot_be_ended(acme, staff):
    subscribe(acme)
    assert errors(staff.open(acme, "end-grant"))[0] == "No grant by staff is active or scheduled."
    staff.act(acme, "grant-plan", plan="pro", source="gift", no_end="on")
    paid = Grant.objects.get(source="subscription")
    assert "Select a valid choice" in str(errors(staff.preview(acme, "end-grant", grant=str(paid.pk)))[2])


def test_a_limit_is_overridden_until_a_day(acme, staff):
    text = staff.act(acme, "override-limit", feature="sessions", value="75", until=day(9))
    assert text.startswith("Sessions was overridden until ")
    assert entitlements(acme).features["sessions"].limit == 75
    event = staff.only_event("override.created")
    assert (event.before, event.after["value"]) == ({"value": 50}, 75)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"value": ""}, "Enter a whole number, or check Unlimited."),
        ({"value": "5", "unlimited": "on"}, "not both"),
        ({"value": "-5"}, "0 or larger"),
        ({"value": "5; DROP"}, "Enter a whole number, true, or false."),
        ({"value": "true"}, "whole number"),
    ],
)
def test_unlimited_is_an_explicit_choice(acme, staff, values, text):
    page = staff.preview(acme, "override-limit", feature="sessions", no_end="on", **values)
    assert text in str(errors(page)[2]["value"])
    assert not Override.objects.exists()


def test_an_unlimited_override_is_given_and_ended(acme, staff, staff_with):
    staff.act(acme, "override-limit", feature="sessions", unlimited="on", no_end="on")
    assert entitlements(acme).features["sessions"].limit is None
    other = staff_with("entitlements.add_override")
    override = str(Override.objects.get().pk)
    assert rows(other.preview(acme, "end-override", override=override))["Sessions"] == ("unlimited", "50 a month")
    assert other.act(acme, "end-override", override=override) == "The override of Sessions was ended."
    assert entitlements(acme).features["sessions"].limit == 50
    other.only_event("override.ended")
