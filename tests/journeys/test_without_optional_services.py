"""A server without Stripe and without Valkey: it reports what is missing, and everything else works."""

import time

import httpx
import pytest

from tests.support.customers import sign_up
from tests.support.stacks import running
from tests.support.workers import until

pytestmark = pytest.mark.chaos
NEEDS_STRIPE = [
    ("POST", "/api/billing/create-checkout-session", {"planTier": "pro", "interval": "month"}),
    ("POST", "/api/billing/create-portal-session", None),
    ("POST", "/api/billing/preview-change", {"planTier": "pro", "interval": "month"}),
    ("POST", "/api/billing/change-plan", {"planTier": "pro", "interval": "month"}),
    ("POST", "/api/billing/cancel", {"at": "period_end"}),
    ("POST", "/api/billing/resume", None),
    ("POST", "/api/billing/webhooks/stripe", {}),
]


@pytest.fixture(scope="module")
def alone():
    """A stack with Postgres only."""
    with running("alone", STRIPE="off", STRIPE_SECRET_KEY="", REDIS_URL="") as result:
        yield result


@pytest.fixture(scope="module")
def owner(alone):
    ada = sign_up(alone)
    yield ada
    ada.close()


@pytest.mark.parametrize("process", ["web", "worker"])
def test_each_process_logs_once_that_stripe_is_missing(alone, process):
    until(lambda: "STRIPE_SECRET_KEY is not set" in alone.log(process), f"the {process} says it")
    assert alone.log(process).count("STRIPE_SECRET_KEY is not set") == 1


@pytest.mark.parametrize(
    ("method", "path", "body"), NEEDS_STRIPE, ids=lambda value: value if isinstance(value, str) and "/" in value else ""
)
def test_billing_reports_that_it_is_not_configured(owner, method, path, body):
    answer = owner.api.call(method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "billing_not_configured")


def test_purchased_plan_is_still_shown(owner):
    assert owner.api.get("/api/billing/subscription")["status"] == "none"
    assert owner.api.get("/api/billing/invoices")["data"] == []


@pytest.mark.parametrize("path", ["/pricing/", "/account/", "/account/keys/", "/account/usage/", "/account/team/", "/account/billing/"])
def test_pages_are_served(owner, path):
    assert owner.browser.open(owner.world.url + path).status_code == 200


def test_readyz_reports_the_missing_cache(alone):
    result = alone.readyz()
    assert result["status"] == "degraded"
    assert result["parts"]["database"] == "ok"
    assert "a rate limit" in result["parts"]["cache"]


def test_quotas_are_exact_without_valkey(owner):
    answers = [owner.api.call("POST", "/api/usage/authorize", {"feature": "sessions", "amount": 10}) for _ in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert answers[-1].json()["code"] == "quota_exceeded"


def test_rate_limits_follow_their_failure_mode(owner):
    """Rate limits cannot be counted; the catalog decides whether calls pass."""
    entitled = owner.api.get("/api/entitlements")["features"]["context_queries"]
    answer = owner.api.call("POST", "/api/usage/authorize", {"feature": "context_queries"})
    assert answer.status_code == (200 if entitled["failureMode"] == "fail_open" else 503)
    if answer.status_code == 200:
        assert answer.json()["allowed"] is True


def test_revocation_takes_a_second_without_valkey(owner):
    created = owner.make_key("Short-lived")
    headers = {"Authorization": f"Bearer {created['key']}"}
    assert httpx.get(f"{owner.world.url}/api/auth/whoami", headers=headers).status_code == 200
    assert owner.in_session("DELETE", f"/api/auth/keys/{created['id']}").status_code == 204
    time.sleep(1)
    for url in (owner.world.url, owner.world.world.environment["GATE_URL"]):
        answer = httpx.post(f"{url}/api/usage/authorize", headers=headers, json={"feature": "sessions"})
        assert (answer.status_code, answer.json()["code"]) == (401, "key_revoked")
