"""Requests, retries and exceptions of both clients."""

import asyncio
import inspect

import pytest

import contextmcp_sdk
from contextmcp_sdk import AsyncClient, Client, Customer, Retries, UsageEvent
from contextmcp_sdk.exchange import NoResponse, Request, Response, Send, Sleep, perform

ALLOWED = {"allowed": True, "recorded": True, "feature": "pages", "amount": 2, "used": 2, "limit": 5, "remaining": 3, "new": "field"}
FAST = Retries(attempts=3, first_wait=0.001)


def problem(code, status=429, **details):
    return status, {"code": code, "status": status, "title": "T", "detail": "D", **details}


def in_both(service, call):
    """Run a call with both clients and return the results or exceptions."""

    def finished(work):
        try:
            return work()
        except Exception as error:
            return error

    async def run():
        async with AsyncClient("key", url=service.url, retries=FAST, timeout=5) as client:
            return await call(client)

    with Client("key", url=service.url, retries=FAST, timeout=5) as client:
        yield finished(lambda: call(client))
    yield finished(lambda: asyncio.run(run()))


def test_both_clients_send_and_read_the_same(service):
    for _ in range(2):
        service.answer(200, ALLOWED)
    results = list(in_both(service, lambda client: client.authorize("pages", 2, customer=Customer(organization_id="1"))))
    assert results[0] == results[1] and results[0].remaining == 3
    (line, headers, body), (_, others, _) = service.requests
    assert (line, body) == ("POST /api/usage/authorize", {"feature": "pages", "amount": 2})
    assert headers["authorization"] == "Bearer key" and headers["contextmcp-organization"] == "1"
    assert headers["idempotency-key"] != others["idempotency-key"]


def test_a_repetition_carries_the_same_key(service):
    for _ in range(2):
        service.answer(0, None)
        service.answer(503, problem("temporarily_unavailable", 503)[1])
        service.answer(200, ALLOWED)
    assert [result.allowed for result in in_both(service, lambda client: client.authorize("pages"))] == [True, True]
    keys = [headers["idempotency-key"] for _, headers, _ in service.requests]
    assert len(keys) == 6 and len(set(keys[:3])) == len(set(keys[3:])) == 1
    for _ in range(2):
        service.answer(502, b"<html>")
        service.answer(200, {"accepted": 1, "duplicates": 0, "refused": 0, "results": [{"status": "accepted"}]})
    assert [result.accepted for result in in_both(service, lambda client: client.record_events([UsageEvent("pages")]))] == [1, 1]
    sent = [body["events"][0]["idempotencyKey"] for _, _, body in service.requests[6:]]
    assert sent[0] == sent[1] != sent[2] == sent[3]


@pytest.mark.parametrize(
    ("status", "document", "expected", "attempts"),
    [
        (429, problem("quota_exceeded", limit=5, used=5, remaining=0, resetsAt="2026-12-01T00:00:00Z")[1], contextmcp_sdk.QuotaExceeded, 1),
        (429, problem("rate_limited", retryAfter=1)[1], contextmcp_sdk.RateLimited, 1),
        (500, problem("server_error", 500)[1], contextmcp_sdk.ServerError, 1),
        (503, problem("signing_not_configured", 503)[1], contextmcp_sdk.SigningNotConfigured, 1),
        (503, problem("overloaded", 503)[1], contextmcp_sdk.Overloaded, 3),
        (503, problem("overloaded", 503, retryAfter=60)[1], contextmcp_sdk.Overloaded, 1),
        (418, problem("newer_than_this_package", 418)[1], contextmcp_sdk.Refusal, 1),
        (404, b"<html>", contextmcp_sdk.InvalidResponse, 1),
        (200, b"<html>", contextmcp_sdk.InvalidResponse, 1),
        (200, {"allowed": "perhaps"}, contextmcp_sdk.InvalidResponse, 1),
        (504, b"", contextmcp_sdk.ServiceUnreachable, 3),
    ],
)
def test_each_failure_is_an_exception_of_its_own(service, status, document, expected, attempts):
    for _ in range(2 * attempts):
        service.answer(status, document)
    for error in in_both(service, lambda client: client.authorize("pages")):
        assert type(error) is expected
    assert len(service.requests) == 2 * attempts


def test_the_details_of_a_refusal(service):
    for _ in range(2):
        service.answer(429, problem("rate_limited", feature="calls", limit=3, used=3, remaining=0, upgradeUrl="u")[1], Retry_After="7")
    for error in in_both(service, lambda client: client.authorize("calls")):
        assert (error.code, error.status, error.detail, error.feature) == ("rate_limited", 429, "D", "calls")
        assert (error.limit, error.used, error.remaining, error.retry_after, error.upgrade_url) == (3, 3, 0, 7, "u")
        assert (error.resets_at, error.errors) == (None, [])


def test_waits_are_random_below_a_maximum_that_doubles():
    """The test drives the generator itself, so no time passes."""
    retries = Retries(attempts=6, first_wait=1.0, max_wait=5.0)
    waits = [[] for _ in range(5)]
    for _ in range(200):
        exchange = perform(Request("GET", "/", dict), "key", None, retries)
        assert isinstance(next(exchange), Send)
        for each in waits:
            sleep = exchange.send(NoResponse("away"))
            assert isinstance(sleep, Sleep)
            each.append(sleep.seconds)
            assert isinstance(exchange.send(None), Send)
        with pytest.raises(contextmcp_sdk.ServiceUnreachable):
            exchange.send(NoResponse("away"))
    for each, longest in zip(waits, (1, 2, 4, 5, 5), strict=True):
        assert 0 <= min(each) < longest / 4 and longest * 3 / 4 < max(each) <= longest
    exchange = perform(Request("GET", "/", dict), "key", None, retries)
    next(exchange)
    sleep = exchange.send(Response(503, {"retry-after": "4"}, b'{"code": "overloaded"}'))
    assert 4 <= sleep.seconds <= 5


def test_the_customer_is_named_once(service):
    both = Customer("their key", "1")
    with Client("key", url=service.url) as client:
        service.answer(200, ALLOWED | {"hold": {"id": "h", "expiresAt": "2026-12-01T00:00:00Z"}})
        service.answer(200, {"id": "h", "feature": "pages", "state": "settled", "held": 2, "settled": 2})
        with client.hold("pages", 2, customer=both):
            pass
    spent, settled = (headers for _, headers, _ in service.requests)
    assert spent["contextmcp-credential"] == "their key" and "contextmcp-organization" not in spent
    # The key may have been revoked since then.
    assert settled["contextmcp-organization"] == "1" and "contextmcp-credential" not in settled
    with pytest.raises(ValueError, match="Name the customer"):
        Customer()


def test_a_canceled_task_releases_its_hold(service):
    service.answer(200, ALLOWED | {"hold": {"id": "h", "expiresAt": "2026-12-01T00:00:00Z"}})
    service.answer(200, {"id": "h", "feature": "pages", "state": "released", "held": 2, "settled": 0})

    async def work(entered):
        async with AsyncClient("key", url=service.url) as client, client.hold("pages", 2):
            entered.set()
            await asyncio.Event().wait()

    async def run():
        entered = asyncio.Event()
        task = asyncio.create_task(work(entered))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert [line for line, _, _ in service.requests] == ["POST /api/usage/authorize", "POST /api/usage/holds/h/release"]


def test_settings(monkeypatch, service):
    monkeypatch.setenv("CONTEXTMCP_API_KEY", "from the environment")
    monkeypatch.setenv("CONTEXTMCP_URL", service.url + "/")
    monkeypatch.setenv("CONTEXTMCP_GATE_URL", "http://127.0.0.1:9")
    service.answer(200, {"token": "t", "expiresAt": "2026-12-01T00:00:00Z", "graceUntil": "2026-12-01T00:00:00Z"})
    with Client(retries=Retries(attempts=1)) as client:
        assert client.entitlements_token().token == "t"
        with pytest.raises(contextmcp_sdk.ServiceUnreachable):
            client.authorize("pages")
    monkeypatch.delenv("CONTEXTMCP_API_KEY")
    with pytest.raises(ValueError, match="CONTEXTMCP_API_KEY"):
        Client()
    with pytest.raises(ValueError, match="fail_closed"):
        Client("key", url=service.url, failure_mode="maybe")


def test_both_clients_have_the_same_operations():
    def public(kind):
        members = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(member).parameters)[1:] for name, member in members if not name.startswith("_")}

    assert public(Client) == public(AsyncClient)
    assert "units" in Client.authorize.__doc__


def test_a_service_that_never_answers_is_away(service):
    for _ in range(2):
        service.answer(-1, None)
    client = Client("key", url=service.url, retries=Retries(attempts=2, first_wait=0.001), timeout=0.2)
    with client, pytest.raises(contextmcp_sdk.ServiceUnreachable, match="time"):
        client.check("pages")
    service.released.set()
    assert len(service.requests) == 2
