"""Overage: disabled, or enabled with a cap."""

import pytest

from contextmcp.common.errors import ValidationFailed
from entitlements.manager import EntitlementsManager
from tests.factories.usage import UsageCounterFactory, subscribe
from tests.support.api import problem
from usage.errors import OverageCapReached, QuotaExceeded
from usage.tracker import UsageTracker


@pytest.fixture
def tracker(acme):
    subscribe(acme)
    UsageCounterFactory(organization=acme, used=1000)
    return UsageTracker(acme)


def test_overage_is_disabled_by_default(tracker):
    with pytest.raises(QuotaExceeded):
        tracker.consume("sessions")


def test_overage_is_admitted_exactly_up_to_the_cap(tracker):
    tracker.set_overage("sessions", enabled=True, cap_minor=11, currency="usd")  # 5 units at 2 cents each
    answer = tracker.consume("sessions", 5)
    assert (answer.used, answer.remaining, answer.overage) == (1005, 0, 5)
    with pytest.raises(OverageCapReached) as refusal:
        tracker.consume("sessions")
    assert refusal.value.details["cap_minor"] == 11
    assert refusal.value.details["currency"] == "usd"


def test_disabling_overage_keeps_recorded_units(tracker):
    tracker.set_overage("sessions", enabled=True, cap_minor=100, currency="usd")
    tracker.consume("sessions", 5)
    tracker.set_overage("sessions", enabled=False, cap_minor=0, currency="usd")
    with pytest.raises(QuotaExceeded) as refusal:
        tracker.consume("sessions")
    assert refusal.value.details["used"] == 1005


def test_the_cap_has_its_own_code(api, owner, tracker):
    tracker.set_overage("sessions", enabled=True, cap_minor=1, currency="usd")
    assert problem(api.post("/api/usage/authorize", {"feature": "sessions"}, by=owner)) == (429, "overage_cap_reached")


@pytest.mark.parametrize(
    ("feature", "settings"),
    [
        ("projects", {"cap_minor": 1, "currency": "usd"}),
        ("nonsense", {"cap_minor": 1, "currency": "usd"}),
        ("sessions", {"cap_minor": -1, "currency": "usd"}),
        ("sessions", {"cap_minor": 1, "currency": "eur"}),
    ],
)
def test_overage_that_is_not_sold_cannot_be_enabled(tracker, feature, settings):
    with pytest.raises(ValidationFailed):
        tracker.set_overage(feature, enabled=True, **settings)


def test_a_stale_setting_does_not_enable_overage_on_free(acme):
    with pytest.raises(ValidationFailed):
        UsageTracker(acme).set_overage("sessions", enabled=True, cap_minor=100, currency="usd")
    subscribe(acme)
    UsageTracker(acme).set_overage("sessions", enabled=True, cap_minor=100, currency="usd")

    EntitlementsManager(acme).replace_grants("subscription", [])
    UsageCounterFactory(organization=acme, used=50)
    with pytest.raises(QuotaExceeded):
        UsageTracker(acme).consume("sessions")
