"""Warnings of use on every account page."""

from datetime import timedelta

import pytest
from django.utils import timezone

from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.factories.usage import UsageCounterFactory
from usage.alerts.look import look
from usage.models import UsageAlert
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(sign_in):
    return lambda person: sign_in(person).get("/account/").text


def test_half_of_a_quota_is_said(page, owner, acme):
    UsageCounterFactory(organization=acme, used=24)
    assert "are used" not in page(owner)
    UsageTracker(acme).consume("sessions")
    assert "25 of 50 sessions are used." in page(owner)


def test_a_level_is_said_once_it_was_warned_of_and_for_as_long_as_it_is_so(page, owner, acme):
    tracker = UsageTracker(acme)
    tracker.state_level("best_practices", 8)
    assert "are in use" not in page(owner)
    look()
    assert "8 of 10 best practices are in use." in page(owner)
    tracker.state_level("best_practices", 7)
    assert "are in use" not in page(owner)


def test_a_spike_is_said_for_a_day(page, owner, viewer, acme):
    period = EntitlementsManager(acme).require("sessions").period(now(acme))
    UsageAlert.objects.create(
        organization=acme,
        feature="sessions",
        period_start=period.start,
        period_end=period.end,
        kind="spike",
        used=900,
        usual=12.4,
        happened_at=timezone.now(),
    )
    for person in (owner, viewer):
        assert "900 sessions within an hour, where 12 are usual." in page(person)
    UsageAlert.objects.update(happened_at=timezone.now() - timedelta(days=1, seconds=1))
    assert "within an hour" not in page(owner)
