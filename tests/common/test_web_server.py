"""The web server as it is deployed: real sockets, a real granian process."""

import gzip
import json
import socket
import time

import psutil
import pytest

from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.support.gates import Http, WebProcess
from tests.support.stripe import WEBHOOK_SECRET, sign

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def web(transactional_db):
    made = WebProcess(STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET, STRIPE_SECRET_KEY="sk_test_" + "x" * 24)
    try:
        yield made.wait(60)
    finally:
        made.stop()


@pytest.fixture
def key(transactional_db):
    return Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key


def talk(port, *pieces, patience=5.0):
    """Return what the server sends until it closes the connection or `patience` seconds have passed."""
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        answer = b""
        one.settimeout(patience)
        try:
            for piece in pieces:
                one.sendall(piece)
            while got := one.recv(65_536):
                answer += got
        except (TimeoutError, ConnectionError):
            pass
        return answer


def chunked(path, body, *headers, method="POST"):
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", "Transfer-Encoding: chunked", *headers]
    parts = [body[at : at + 7] for at in range(0, len(body), 7)]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def bearer(key, kind="application/json"):
    return f"Authorization: Bearer {key}", f"Content-Type: {kind}"


def test_chunked_bodies_reach_every_kind_of_view(web, key):
    api = talk(web.port, chunked("/api/auth/generate-key", b'{"name": "From chunks"}', *bearer(key)))
    assert b" 201 " in api and b"From chunks" in api
    usage = talk(web.port, chunked("/api/usage/authorize", b'{"feature": "sessions"}', *bearer(key)))
    assert b'"used":1' in usage.replace(b" ", b"")
    event = {"id": "evt_c", "object": "event", "type": "customer.updated", "created": 1_800_000_000, "data": {"object": {"id": "cus_1"}}}
    text = json.dumps(event)
    stripe = talk(web.port, chunked("/api/billing/webhooks/stripe", text.encode(), f"Stripe-Signature: {sign(text)}"))
    assert b'{"received":true}' in stripe
    token = "a" * 32
    form = f"csrfmiddlewaretoken={token}&login=nobody@example.com&password=wrong".encode()
    kind = "Content-Type: application/x-www-form-urlencoded"
    page = talk(web.port, chunked("/accounts/login/", form, f"Cookie: csrftoken={token}", kind))
    # Without the token from the body this would be 403.
    assert page.startswith(b"HTTP/1.1 200 ")


def test_bodies_beyond_the_limit_are_refused_without_memory(web, key):
    worker = psutil.Process(web.process.pid).children()[0]
    head = f"POST /api/auth/generate-key HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    assert b" 401 " not in talk(web.port, f"{head}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
    before = worker.memory_info().rss
    assert b" 413 " in talk(web.port, f"{head}Content-Length: 1000000000\r\n\r\n".encode())
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    assert b" 413 " in talk(web.port, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *([chunk] * 3), b"0\r\n\r\n")
    for _ in range(4):
        talk(web.port, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *([chunk] * 60))
    assert worker.memory_info().rss < before + 64 * 2**20


def test_slow_bodies_do_not_hold_back_others(web, key):
    head = b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nx"
    slow = [socket.create_connection(("127.0.0.1", web.port), 10) for _ in range(200)]
    try:
        for one in slow:
            one.sendall(head)
        client = Http(web.port)
        for _ in range(5):
            began = time.monotonic()
            assert client.request("GET", "/api/usage/current", key=key)[0] == 200
            assert time.monotonic() - began < 3
    finally:
        for one in slow:
            one.close()


def test_liveness_needs_no_host_and_no_thread(web):
    for request in (b"GET /livez HTTP/1.0\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: 10.1.2.3\r\nConnection: close\r\n\r\n"):
        assert talk(web.port, request).endswith(b'{"status": "ok"}')
    head = talk(web.port, b"HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b" 200 " in head and head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"", 400),
        (b"Host: localhost\r\nHost: localhost\r\n", 400),
        (b"Host: localhost\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n", 400),
        (b"Host: localhost\r\nContent-Encoding: gzip\r\n", 415),
    ],
)
def test_heads_that_could_be_read_in_two_ways_are_refused(web, headers, status):
    body = gzip.compress(b"{}")
    length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    answer = talk(web.port, b"POST /api/usage/authorize HTTP/1.1\r\n" + headers + length + body)
    assert answer.startswith(b"HTTP/1.1 %d " % status) and b"application/problem+json" in answer


def test_an_encoded_slash_is_no_separator(web, key):
    assert Http(web.port).request("GET", "/api%2Fusage/current", key=key)[0] == 404


def test_headers_with_underscores_do_not_reach_django(web):
    answer = talk(web.port, b"GET /livez2 HTTP/1.1\r\nHost: localhost\r\nX_Request_Id: forged\r\nConnection: close\r\n\r\n")
    assert b" 404 " in answer and b"forged" not in answer
