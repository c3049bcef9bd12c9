"""Sliding windows: no window exceeds its limit, and units become available again as soon as possible."""

import time
from uuid import uuid4

import pytest
from django.test import override_settings

from contextmcp.common.clock import now
from tests.factories.accounts import key_of
from tests.support.api import problem
from usage.authorize import rate_limit
from usage.errors import RateLimited
from usage.operations.rates import acquire_rates, release_rates
from usage.operations.sync_driver import drive
from usage.types import Rate, UsageSubject

LIMIT = 5
WINDOW = 0.1


@pytest.fixture
def quick(services, monkeypatch):
    """A window of a tenth of a second in five slots."""
    monkeypatch.setattr(rate_limit, "SLOTS", 5)
    monkeypatch.setattr(rate_limit, "SLOT_MS", 20)
    return UsageSubject.of(uuid4())


def take(who, amount=1):
    return drive(acquire_rates(who, [Rate("context_queries", amount, LIMIT, "fail_closed")], now()))


def test_no_window_exceeds_the_limit(quick):
    started, ended = [], []
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        start = time.monotonic()
        try:
            take(quick)
        except RateLimited:
            time.sleep(0.001)
            continue
        started.append(start)
        ended.append(time.monotonic())
    # Valkey's clock has milliseconds, so one may be lost on each side.
    spans = [later - earlier for earlier, later in zip(started, ended[LIMIT:], strict=False)]
    assert min(spans) >= WINDOW - 0.002
    assert len(started) >= LIMIT * 5


def test_the_window_opens_after_retry_after(quick):
    take(quick, LIMIT)
    with pytest.raises(RateLimited) as refusal:
        take(quick)
    assert refusal.value.details["retry_after"] == 1
    wait = (refusal.value.details["resets_at"] - now()).total_seconds()
    assert 0 < wait <= WINDOW + 0.03
    time.sleep(wait + 0.003)
    assert take(quick, LIMIT).windows[0].rate.used == LIMIT


def test_a_release_after_the_window_has_no_effect(quick):
    used = take(quick, LIMIT)
    time.sleep(WINDOW * 1.5)
    take(quick, LIMIT)
    drive(release_rates(used))
    with pytest.raises(RateLimited):
        take(quick)


def test_a_repeated_release_has_no_effect(quick):
    used = take(quick, 3)
    drive(release_rates(used))
    drive(release_rates(used))
    assert take(quick, LIMIT).windows[0].rate.used == LIMIT


def test_an_unlimited_rate_is_not_counted(quick):
    assert drive(acquire_rates(quick, [Rate("context_queries", 1, None, "fail_closed")], now())) is None
    drive(release_rates(None))


def test_an_invalid_state_counts_as_empty(quick):
    from contextmcp.common import valkey

    valkey.client().set(valkey.key(quick.organization_id, "rate", "context_queries"), b"something else")
    assert take(quick, LIMIT).windows[0].rate.used == LIMIT


@override_settings(RATE_LIMIT_KEY_PERCENT=50)
def test_a_key_can_have_its_own_share(api, owner):
    other = key_of(owner.membership, ["usage:write"])
    url, body = "/api/usage/authorize", {"feature": "session_creation", "amount": 5}
    assert api.post(url, body, by=owner).json()["remaining"] == 5
    response = api.post(url, {"feature": "session_creation"}, by=owner)
    assert problem(response) == (429, "rate_limited")
    assert (response.json()["scope"], response.json()["limit"]) == ("key", 5)
    assert api.post(url, body, by=other).json()["remaining"] == 0
    assert api.post(url, {"feature": "session_creation"}, by=key_of(owner.membership, ["usage:write"])).json()["scope"] == "organization"
