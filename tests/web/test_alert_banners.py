"""Usage alerts on every account page."""

from datetime import timedelta

import pytest
from django.utils import timezone

from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.factories.usage import UsageCounterFactory
from usage.alerts.evaluate import evaluate_alerts
from usage.models import UsageAlert
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(sign_in):
    return lambda person: sign_in(person).get("/account/keys/").text


def test_half_of_a_quota_is_shown(page, owner, acme):
    UsageCounterFactory(organization=acme, used=24)
    assert "sessions. Your quota" not in page(owner)
    UsageTracker(acme).consume("sessions")
    assert "used 25 of 50 sessions." in page(owner)


def test_a_gauge_banner_is_shown_while_it_applies(page, owner, acme):
    tracker = UsageTracker(acme)
    tracker.set_gauge("best_practices", 8)
    assert "are in use" not in page(owner)
    evaluate_alerts()
    assert "8 of 10 best practices are in use." in page(owner)
    tracker.set_gauge("best_practices", 7)
    assert "are in use" not in page(owner)


def test_spike_is_shown_for_a_day(page, owner, viewer, acme):
    period = EntitlementsManager(acme).require("sessions").period(now(acme))
    UsageAlert.objects.create(
        organization=acme,
        feature="sessions",
        period_start=period.start,
        period_end=period.end,
        kind="spike",
        used=900,
        baseline=12.4,
        occurred_at=timezone.now(),
    )
    for person in (owner, viewer):
        assert "900 sessions in one hour, compared with an average of 12." in page(person)
    UsageAlert.objects.update(baseline=None)
    assert "900 sessions in one hour. Check which API key caused this. Detected on" in page(owner)
    UsageAlert.objects.update(occurred_at=timezone.now() - timedelta(days=1, seconds=1))
    assert "in one hour" not in page(owner)
