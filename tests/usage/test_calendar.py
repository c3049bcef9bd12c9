"""Limits with time zones, month lengths, leap days, yearly plans, plan changes during a period, and processes with different clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from accounts.models import Organization
from contextmcp.common.clock import now
from entitlements.cache import CACHE
from entitlements.errors import FeatureNotAvailable
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import OrganizationFactory
from tests.factories.usage import UsageCounterFactory, subscribe
from tests.support.properties import HealthCheck, given, settings, st
from usage.authorize import build
from usage.authorize.requests import Request
from usage.errors import QuotaExceeded
from usage.ingest import event_parsing
from usage.models import UsageCounter, UsageHold
from usage.operations.authorization import execute_authorization
from usage.operations.sync_driver import drive
from usage.tracker import UsageTracker
from usage.types import Item

pytestmark = pytest.mark.django_db
ZONES = ["UTC", "Pacific/Kiritimati", "Pacific/Marquesas", "America/New_York", "Asia/Kathmandu", "Europe/Berlin", "Pacific/Pago_Pago"]


def at(organization: Organization, moment: datetime) -> UsageTracker:
    """Return the organization with its clock stopped at `moment`."""
    organization.clock_offset = moment - datetime.now(UTC)
    organization.save()
    CACHE.reset()
    return UsageTracker(organization)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def founded(moment: datetime) -> Organization:
    """The usage months of an organization without a plan start on its first day."""
    organization = OrganizationFactory()
    Organization.objects.filter(pk=organization.pk).update(created_at=moment)
    organization.refresh_from_db()
    return organization


def on_plan(plan: str, started: str) -> Organization:
    organization = founded(day(started))
    if plan != "free":
        subscribe(organization, plan, starts_at=day(started))
    return organization


# The start of the plan, then in turn: a time of use, and the month's usage after it.
TABLE = [
    # A month with 31 days before shorter ones: their last day replaces the missing one, and the 31st returns.
    ("2027-01-31T10:00", [("2027-02-28T09:59", 1), ("2027-02-28T10:00", 1), ("2027-03-31T09:59", 2), ("2027-03-31T10:00", 1)]),
    # February 29 of a leap year, from before, within and after.
    ("2028-01-29T00:00", [("2028-02-28T23:59", 1), ("2028-02-29T00:00", 1), ("2028-03-28T23:59", 2), ("2028-03-29T00:00", 1)]),
    ("2028-02-29T12:00", [("2028-03-29T11:59", 1), ("2029-02-28T11:59", 1), ("2029-02-28T12:00", 1), ("2032-02-29T12:00", 1)]),
    # The end of a year.
    ("2026-12-31T23:59", [("2027-01-31T23:58", 1), ("2027-01-31T23:59", 1), ("2027-02-28T23:58", 2), ("2027-02-28T23:59", 1)]),
]


@pytest.mark.parametrize(("started", "uses"), TABLE)
@pytest.mark.parametrize("plan", ["free", "pro"])
def test_a_usage_month_starts_with_the_plan(plan, started, uses):
    organization = on_plan(plan, started)
    for moment, used in uses:
        assert at(organization, day(moment)).consume("sessions").used == used, moment


@pytest.mark.parametrize("zone", ZONES)
def test_the_time_zone_of_a_time_does_not_matter(zone):
    organization = on_plan("pro", "2027-03-27T23:30")
    tracker = at(organization, day("2027-04-27T23:40"))
    moments = [day("2027-04-27T23:29:59"), day("2027-04-27T23:30"), day("2027-03-28T02:30")]
    bodies = [event_parsing.EventBody("sessions", 1, occurred_at=moment.astimezone(ZoneInfo(zone))) for moment in moments]
    assert all(one.error is None for one in tracker.record_events(bodies))
    matches = dict(UsageCounter.objects.filter(organization=organization).values_list("period_start", "used"))
    assert matches == {day("2027-03-27T23:30"): 2, day("2027-04-27T23:30"): 1}


def test_a_yearly_plan_has_a_quota_every_month_and_none_is_carried_over():
    organization = on_plan("pro", "2027-08-31T08:00")
    for month in range(12):
        moment = day("2027-08-31T08:00") + timedelta(days=30.6 * month + 1)
        tracker = at(organization, moment)
        assert tracker.consume("sessions", 1000).remaining == 0
        with pytest.raises(QuotaExceeded):
            tracker.consume("sessions")
    assert UsageCounter.objects.filter(organization=organization).count() == 12


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    began=st.datetimes(datetime(2026, 1, 1), datetime(2032, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 30)), min_size=1, max_size=12),
)
def test_no_month_exceeds_the_limit(began, steps):
    """In any order of calls: in each period the allowed amounts equal the requested ones that fit, and the counter equals them."""
    organization = founded(began)
    moment, granted = began, {}
    for days, amount in steps:
        moment += timedelta(days=days)
        tracker = at(organization, moment)
        period = tracker.entitlements.features["sessions"].period(now(organization))
        assert now(organization) in period
        before = granted.get(period.start, 0)
        try:
            assert tracker.consume("sessions", amount).used == before + amount
            granted[period.start] = before + amount
            assert granted[period.start] <= 50
        except QuotaExceeded as refusal:
            assert before + amount > 50
            assert refusal.details["resets_at"] == period.end
    assert dict(UsageCounter.objects.filter(organization=organization, used__gt=0).values_list("period_start", "used")) == granted


def change(organization: Organization, plan: str, anchor: datetime) -> None:
    """As billing does it: the subscription's periods continue from their start."""
    subscribe(organization, plan, starts_at=anchor)
    CACHE.reset()


def test_upgrade_within_a_period_applies_at_once_and_keeps_usage():
    organization = on_plan("pro", "2027-05-10T00:00")
    tracker = at(organization, day("2027-05-20T00:00"))
    tracker.consume("sessions", 1000)
    with pytest.raises(QuotaExceeded):
        tracker.consume("sessions")
    change(organization, "enterprise", day("2027-05-10T00:00"))
    assert UsageTracker(organization).consume("sessions", 500).used == 1500


def test_a_lower_limit_applies_immediately():
    organization = on_plan("enterprise", "2027-05-10T00:00")
    at(organization, day("2027-05-20T00:00")).consume("sessions", 1200)
    change(organization, "pro", day("2027-05-10T00:00"))
    tracker = UsageTracker(organization)
    with pytest.raises(QuotaExceeded) as refusal:
        tracker.consume("sessions")
    assert {"used": 1200, "limit": 1000, "remaining": 0}.items() <= refusal.value.details.items()
    assert at(organization, day("2027-06-10T00:00")).consume("sessions").used == 1


def test_a_temporary_override_applies_until_its_end():
    organization = on_plan("free", "2027-05-10T00:00")
    tracker = at(organization, day("2027-05-20T00:00"))
    tracker.consume("sessions", 50)
    EntitlementsManager(organization).override("sessions", 60, ends_at=day("2027-05-25T00:00"), reason="a fair", actor=None)
    CACHE.reset()
    assert UsageTracker(organization).consume("sessions", 5).used == 55
    with pytest.raises(QuotaExceeded):
        at(organization, day("2027-05-25T00:00")).consume("sessions")


def test_losing_the_plan_removes_its_features_and_keeps_gauges():
    organization = on_plan("pro", "2027-05-10T00:00")
    tracker = at(organization, day("2027-05-20T00:00"))
    tracker.set_gauge("projects", 7)
    EntitlementsManager(organization).replace_grants("subscription", [])
    CACHE.reset()
    tracker = UsageTracker(organization)
    with pytest.raises(FeatureNotAvailable):
        tracker.consume("git_integration")
    assert tracker.set_gauge("projects", 7).remaining == 0


@pytest.mark.parametrize("skew", [timedelta(seconds=-90), timedelta(seconds=-1), timedelta(seconds=1), timedelta(seconds=90)])
def test_process_with_a_wrong_clock_keeps_the_limits_of_its_period(skew, monkeypatch):
    """At the turn of a month two processes may disagree about the current one. Each period has one counter, so neither allows too much."""
    organization = on_plan("free", "2027-05-10T00:00")
    tracker = at(organization, day("2027-06-10T00:00"))
    right, wrong = day("2027-06-10T00:00:30"), day("2027-06-10T00:00:30") + skew
    entitlement = tracker.entitlements.features["sessions"]
    granted = {}
    for number in range(240):
        moment = (right, wrong)[number % 2]
        ask = build.build_authorization(tracker.subject, tracker.entitlements, Request([Item("sessions")]), at=moment, real=moment)

        try:
            drive(execute_authorization(ask))
        except QuotaExceeded:
            continue
        start = entitlement.period(moment).start
        granted[start] = granted.get(start, 0) + 1
    assert set(granted.values()) == {50}
    assert len(granted) == (1 if min(right, wrong) >= day("2027-06-10T00:00") else 2)
    assert dict(UsageCounter.objects.filter(organization=organization).values_list("period_start", "used")) == granted


def test_holds_expire_by_the_databases_clock():
    organization = OrganizationFactory()
    UsageCounterFactory(organization=organization, used=49)
    tracker = UsageTracker(organization)
    slow = datetime.now(UTC) - timedelta(hours=2)
    ask = build.build_authorization(
        tracker.subject, tracker.entitlements, Request([Item("sessions")], hold_seconds=60), at=now(), real=slow
    )

    held = drive(execute_authorization(ask)).answer.hold
    assert tracker.consume("sessions").used == 50
    assert UsageHold.objects.get(pk=held.id).state == "expired"
