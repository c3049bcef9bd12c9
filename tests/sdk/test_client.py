"""The SDK's clients against the product over HTTP."""

import asyncio
import re
import threading
from datetime import timedelta

import contextmcp_sdk
import pytest
from contextmcp_sdk import AsyncClient, Client, Customer, Retries, UsageEvent
from contextmcp_sdk.entitlements_token import InvalidToken, UnknownKey, verify_token
from contextmcp_sdk.errors import refusal_codes

from contextmcp.common import errors, problems
from entitlements.manager import EntitlementsManager
from tests.contract.document import operations
from tests.factories.accounts import key_of
from tests.sdk.conftest import sessions_used
from tests.sdk.examples import README, code_block

# The operations that the SDK calls.
CALLED = {
    "authorize", "check", "record_events", "settle_hold", "release_hold", "set_gauge", "decrease_gauge", "current_usage",
    "get_entitlements", "get_entitlements_token",
}  # fmt: skip
ABSTRACT = {errors.DomainError.code, errors.Conflict.code}


def test_each_refusal_of_the_operations_has_a_class():
    documented = {
        code
        for operation in operations()
        if operation.name in CALLED
        for status, answer in operation.definition["responses"].items()
        if int(status) >= 400
        for code in re.findall(r"`(\w+)`", answer["description"])
    }
    common = {
        each.code
        for module in (errors, problems)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, errors.DomainError)
    }
    assert documented and refusal_codes() == documented | (common - ABSTRACT) | {"tool_not_available"}


def test_a_service_key_holds_settles_and_releases(vendor, organization, key):
    customer = vendor.for_customer(credential=key)
    with customer.hold("sessions", 5) as hold:
        assert sessions_used(organization) == 5
        assert hold.authorized.remaining == 45
        ended = customer.settle_hold(hold, 3)
    assert (ended.state, ended.held, ended.settled, sessions_used(organization)) == ("settled", 5, 3, 3)
    with customer.hold("sessions", 2):
        pass
    with pytest.raises(ZeroDivisionError), customer.hold("sessions", 4):
        raise ZeroDivisionError
    assert sessions_used(organization) == 5
    with pytest.raises(contextmcp_sdk.HoldAlreadyEnded) as refusal:
        customer.release_hold(hold)
    assert refusal.value.problem["state"] == "settled"


def test_reading_and_recording(vendor, organization, key):
    customer = Customer(organization_id=str(organization.pk))
    results = vendor.record_events(
        [UsageEvent("sessions", 4, "one"), UsageEvent("sessions", 4, "one"), UsageEvent("nothing")], customer=customer
    )
    assert (results.accepted, results.duplicates, results.refused) == (1, 1, 1)
    assert results.results[2].code == "validation_error"
    usage = {each.feature: each for each in vendor.current_usage(customer=customer).usage}
    assert (usage["sessions"].used, usage["sessions"].included) == (4, 50)
    assert vendor.set_gauge("projects", 2, customer=customer).used == 2
    assert vendor.decrease_gauge("projects", 2, customer=customer).used == 0
    with pytest.raises(contextmcp_sdk.ReleaseExceedsUsage):
        vendor.decrease_gauge("projects", customer=customer)
    plan = vendor.entitlements(customer=customer)
    assert (plan.plan, plan.organization_id, plan.features["sessions"].limit) == ("free", str(organization.pk), 50)
    decision = vendor.check("sessions", 47, customer=customer)
    assert (decision.allowed, decision.code, decision.remaining) == (False, "quota_exceeded", 46)
    several = vendor.authorize_several({"sessions": 1, "context_queries": 1}, customer=customer)
    assert [item.feature for item in several.items] == ["sessions", "context_queries"]


def test_a_customers_key_spends_and_may_not_restate(url, organization, key):
    with Client(key, url=url) as client:
        first = client.authorize("sessions", 2, idempotency_key="a call")
        assert client.authorize("sessions", 2, idempotency_key="a call") == first
        assert sessions_used(organization) == 2
        with pytest.raises(contextmcp_sdk.ServiceKeyRequired):
            client.record_events([UsageEvent("sessions")])
        with pytest.raises(contextmcp_sdk.QuotaExceeded) as refusal:
            client.authorize("sessions", 49)
        exceeded = refusal.value
        assert (exceeded.feature, exceeded.limit, exceeded.used, exceeded.remaining) == ("sessions", 50, 2, 48)
        assert exceeded.resets_at and exceeded.upgrade_url and exceeded.status == 429
        with pytest.raises(contextmcp_sdk.FeatureNotAvailable):
            client.authorize("sso_integration")
        with pytest.raises(contextmcp_sdk.ValidationFailed) as invalid:
            client.authorize("no such feature")
        assert invalid.value.errors[0]["field"] == "feature"
    with Client("cmcp_sk_test_nonsense", url=url) as client, pytest.raises(contextmcp_sdk.InvalidKeyFormat):
        client.current_usage()
    with Client(key_of(organization.memberships.get(), ["usage:read"]), url=url) as client, pytest.raises(contextmcp_sdk.InsufficientScope):
        client.authorize("sessions")


def test_concurrent_calls_never_exceed_the_limit(vendor, organization, key):
    customer = vendor.for_customer(credential=key)
    allowed = []

    def call():
        for _ in range(10):
            try:
                allowed.append(customer.authorize("sessions"))
            except contextmcp_sdk.QuotaExceeded:
                return

    threads = [threading.Thread(target=call) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(allowed) == sessions_used(organization) == 50


def test_the_asynchronous_client_does_the_same(url, vendor_key, organization, key):
    async def run():
        async with AsyncClient(vendor_key, url=url) as client:
            customer = client.for_customer(credential=key)
            async with customer.hold("sessions", 5) as hold:
                await customer.settle_hold(hold, 1)
            with pytest.raises(ZeroDivisionError):
                async with customer.hold("sessions", 5):
                    raise ZeroDivisionError
            await asyncio.gather(*(customer.authorize("sessions") for _ in range(9)))
            with pytest.raises(contextmcp_sdk.QuotaExceeded):
                await customer.authorize("sessions", 41)
            return await customer.current_usage()

    usage = asyncio.run(run())
    assert next(each.used for each in usage.usage if each.feature == "sessions") == 10 == sessions_used(organization)


def test_a_token_is_verified_offline(vendor, organization):
    customer = vendor.for_customer(organization_id=str(organization.pk))
    EntitlementsManager(organization).grant("pro", reason="a gift")
    token, keys = customer.entitlements_token(), vendor.signing_keys()
    plan = verify_token(token.token, keys)
    assert (plan.plan, plan.organization_id) == ("pro", str(organization.pk))
    assert plan.require("sessions").limit == 1000
    assert plan.is_fresh(token.expires_at - timedelta(seconds=1))
    assert not plan.is_fresh(token.expires_at) and plan.is_usable(token.expires_at) and not plan.is_usable(token.grace_until)
    with pytest.raises(contextmcp_sdk.FeatureNotAvailable):
        plan.require("sso_integration")
    with pytest.raises(UnknownKey):
        verify_token(token.token, {"keys": []})
    head, payload, signature = token.token.split(".")
    for forged in (f"{head}.{payload[:-2]}AA.{signature}", f"{head}.{payload}.{signature[:-4]}AAAA", "a.b.c", "", f"{head}.{payload}"):
        with pytest.raises(InvalidToken):
            verify_token(forged, keys)


def test_a_service_that_is_away(url, organization, key):
    fast = {"retries": Retries(attempts=2, first_wait=0.01), "url": "http://127.0.0.1:9"}
    with Client(key, **fast) as client:
        with pytest.raises(contextmcp_sdk.ServiceUnreachable):
            client.authorize("sessions")
        assert key not in repr(client) and "hunter2" not in repr(Customer("hunter2"))
    with Client(key, failure_mode="fail_open", **fast) as client:
        answer = client.authorize("sessions", 3)
        assert (answer.allowed, answer.recorded, answer.decided_locally) == (True, False, True)
        assert client.check("sessions").decided_locally


def test_the_examples_of_the_readme_run(url, vendor_key, organization, key, tmp_path):
    replaced = {
        "https://contextmcp.example": url,
        "cmcp_svc_test_...": vendor_key,
        "cmcp_sk_test_...": key,
        "/var/lib/my-server/usage": str(tmp_path),
        "01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10": str(organization.pk),
    }
    for section in ("The client", "Events that survive a crash"):
        code = code_block(section, "python", README)
        for documented, value in replaced.items():
            code = code.replace(documented, value)
        exec(compile(code, section, "exec"), {})
    assert sessions_used(organization) == 1 + 3 + 1
