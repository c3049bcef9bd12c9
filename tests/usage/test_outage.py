"""Without Valkey: limits and quotas are as exact as ever; rates follow their declared policy. Without Postgres: what was declared."""

import pytest
from django.db import OperationalError
from django.test import override_settings

from contextmcp.common import valkey
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from tests.factories.usage import UsageCounterFactory
from tests.support.api import problem
from usage import gate, rates, store
from usage.errors import TemporarilyUnavailable
from usage.models import UsageCounter
from usage.requests import Request
from usage.tracker import UsageTracker
from usage.types import Item

URL = "/api/usage/authorize"


@pytest.fixture(params=["unix:///nowhere/valkey.sock", ""])
def no_valkey(request):
    """An address where nobody answers, or none at all."""
    with override_settings(REDIS_URL=request.param):
        valkey.client.cache_clear()
        rates._scripts.cache_clear()
        yield
    valkey.client.cache_clear()
    rates._scripts.cache_clear()


def test_quotas_are_exact_and_rates_that_allow_let_pass(no_valkey, api, owner, acme):
    UsageCounterFactory(organization=acme, used=49)
    both = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}
    said = api.post(URL, both, by=owner).json()
    assert [item["used"] for item in said["items"]] == [50, None]
    assert problem(api.post(URL, both, by=owner)) == (429, "quota_exceeded")
    for _ in range(15):
        assert api.post(URL, {"feature": "session_creation"}, by=owner).status_code == 200
    assert api.post("/api/entitlements/check", {"feature": "session_creation"}, by=owner).json()["allowed"] is True


def test_rates_that_refuse_say_so(no_valkey, acme):
    allowance = EntitlementsManager(acme).require("context_queries")
    rate = rates.Rate("context_queries", 1, allowance.limit, "refuse")
    with pytest.raises(TemporarilyUnavailable) as refusal:
        rates.take(UsageTracker(acme).who, [rate], now())
    assert (refusal.value.status, refusal.value.details["retry_after"]) == (503, 1)
    rates.give_back(rates.Taken([], 0))


def test_a_flushed_cache_admits_one_more_window_and_leaves_no_debt(api, owner, acme):
    assert api.post(URL, {"feature": "session_creation", "amount": 10}, by=owner).status_code == 200
    valkey.client().delete(valkey.key(acme.pk, "rate", "session_creation"))
    assert api.post(URL, {"feature": "session_creation", "amount": 10}, by=owner).status_code == 200
    assert problem(api.post(URL, {"feature": "session_creation"}, by=owner)) == (429, "rate_limited")


@pytest.fixture
def no_postgres(monkeypatch):
    def gone(jobs):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(store, "execute", gone)


def test_without_postgres_a_quota_refuses_and_gives_the_rate_back(no_postgres, api, owner, acme):
    both = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}
    for _ in range(12):
        response = api.post(URL, both, by=owner)
        assert problem(response) == (503, "temporarily_unavailable")
        assert response["Retry-After"] == "1"
    assert api.post(URL, {"feature": "session_creation"}, by=owner).json()["used"] == 1


def test_what_is_declared_to_be_allowed_is_allowed_and_marked(no_postgres, acme):
    tracker = UsageTracker(acme)
    ask = tracker._ask(Request([Item("sessions"), Item("projects"), Item("basic_context")], single=False))
    for part in ask.parts[:2]:
        if isinstance(part, gate.Quota):
            object.__setattr__(part.allowance, "on_outage", "allow")
        else:
            part.on_outage = "allow"
    try:
        granted = gate.authorize(ask)
    finally:
        object.__setattr__(ask.parts[0].allowance, "on_outage", "refuse")
    assert granted.answer.recorded is False
    assert [item.used for item in granted.answer.items] == [None, None, None]
    assert not UsageCounter.objects.filter(organization=acme).exists()


def test_the_catalogue_counts_nothing_loosely_by_default():
    assert {feature.on_outage for feature in CATALOG.features if feature.kind in ("quota", "limit")} == {"refuse"}
