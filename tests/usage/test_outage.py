"""Outages. Without Valkey, quotas and gauges stay exact and rate limits follow their failure mode, as everything does without Postgres."""

import pytest
from django.db import OperationalError
from django.test import override_settings

from contextmcp.common import valkey
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from tests.factories.usage import UsageCounterFactory
from tests.support.api import problem
from usage.authorize import rate_limit
from usage.authorize.build import build_authorization
from usage.authorize.requests import Request
from usage.errors import TemporarilyUnavailable
from usage.models import UsageCounter
from usage.operations.authorization import execute_authorization
from usage.operations.rates import acquire_rates, release_rates
from usage.operations.sync_driver import drive
from usage.store import executor
from usage.tracker import UsageTracker
from usage.types import Item, Quota

URL = "/api/usage/authorize"


@pytest.fixture(params=["unix:///nowhere/valkey.sock", ""])
def no_valkey(request):
    """Return a URL at which no server answers, or none."""
    with override_settings(REDIS_URL=request.param):
        valkey.client.cache_clear()
        yield
    valkey.client.cache_clear()


def test_without_valkey_quotas_are_exact_and_rates_fail_open(no_valkey, api, owner, acme):
    UsageCounterFactory(organization=acme, used=49)
    both = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}
    data = api.post(URL, both, by=owner).json()
    assert [item["used"] for item in data["items"]] == [50, None]
    assert problem(api.post(URL, both, by=owner)) == (429, "quota_exceeded")
    for _ in range(15):
        assert api.post(URL, {"feature": "session_creation"}, by=owner).status_code == 200
    assert api.post("/api/entitlements/check", {"feature": "session_creation"}, by=owner).json()["allowed"] is True


def test_rates_that_fail_closed_are_refused(no_valkey, acme):
    entitlement = EntitlementsManager(acme).require("context_queries")
    rate = rate_limit.Rate("context_queries", 1, entitlement.limit, "fail_closed")
    with pytest.raises(TemporarilyUnavailable) as refusal:
        drive(acquire_rates(UsageTracker(acme).subject, [rate], now()))
    assert (refusal.value.status, refusal.value.details["retry_after"]) == (503, 1)
    drive(release_rates(rate_limit.RatePermit([], 0)))


def test_a_flushed_cache_admits_one_more_window(api, owner, acme):
    assert api.post(URL, {"feature": "session_creation", "amount": 10}, by=owner).status_code == 200
    valkey.client().delete(valkey.key(acme.pk, "rate", "session_creation"))
    assert api.post(URL, {"feature": "session_creation", "amount": 10}, by=owner).status_code == 200
    assert problem(api.post(URL, {"feature": "session_creation"}, by=owner)) == (429, "rate_limited")


@pytest.fixture
def no_postgres(monkeypatch):
    def gone(jobs):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(executor, "execute", gone)


def test_without_postgres_a_quota_is_refused_and_the_rate_released(no_postgres, api, owner, acme):
    both = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}
    for _ in range(12):
        response = api.post(URL, both, by=owner)
        assert problem(response) == (503, "temporarily_unavailable")
        assert response["Retry-After"] == "1"
    assert api.post(URL, {"feature": "session_creation"}, by=owner).json()["used"] == 1


def test_fail_open_features_are_allowed_and_marked(no_postgres, acme):
    tracker = UsageTracker(acme)
    request = Request([Item("sessions"), Item("projects"), Item("basic_context")], single=False)
    ask = build_authorization(tracker.subject, tracker.entitlements, request, at=now(), real=now())
    for part in ask.items[:2]:
        if isinstance(part, Quota):
            object.__setattr__(part.entitlement, "failure_mode", "fail_open")
        else:
            part.failure_mode = "fail_open"
    try:
        granted = drive(execute_authorization(ask))
    finally:
        object.__setattr__(ask.items[0].entitlement, "failure_mode", "fail_closed")
    assert granted.answer.recorded is False
    assert [item.used for item in granted.answer.items] == [None, None, None]
    assert not UsageCounter.objects.filter(organization=acme).exists()


def test_the_catalog_fails_closed_by_default():
    assert {feature.failure_mode for feature in CATALOG.features if feature.kind in ("quota", "gauge")} == {"fail_closed"}
