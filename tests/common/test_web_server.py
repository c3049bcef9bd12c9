"""The web server as deployed: real sockets, a real granian process."""

import gzip
import json
import select
import socket

import psutil
import pytest
from django.db import connection

from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.support.gates import Http, WebProcess
from tests.support.metrics import documented, exposed
from tests.support.stripe import WEBHOOK_SECRET, sign

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def web(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        process = WebProcess(STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET, STRIPE_SECRET_KEY="sk_test_" + "x" * 24)
    try:
        yield process.wait(60)
    finally:
        process.stop()


@pytest.fixture
def key(transactional_db):
    return Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key


def talk(port, *pieces, timeout=5.0):
    """Return what the server sends until it closes the connection or `timeout` seconds have passed."""
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        answer = b""
        one.settimeout(timeout)
        try:
            for piece in pieces:
                one.sendall(piece)
            while actual := one.recv(65_536):
                answer += actual
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
    form = f"csrfmiddlewaretoken={token}&login=unknown@example.com&password=wrong".encode()
    kind = "Content-Type: application/x-www-form-urlencoded"
    page = talk(web.port, chunked("/accounts/login/", form, f"Cookie: csrftoken={token}", kind))
    # Without the token from the body this would be 403.
    assert page.startswith(b"HTTP/1.1 200 ")


def test_large_bodies_are_refused_without_buffering(web, key):
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


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/accounts/login/", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", b"text/html; charset=utf-8"),
        ("/accounts/login/", "text/html;q=0.5, application/json", b"application/problem+json"),
        ("/accounts/login/", "*/*", b"application/problem+json"),
        ("/api/organization", "text/html", b"application/problem+json"),
    ],
)
def test_a_browser_gets_a_page_for_a_large_body(web, path, accept, kind):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nX-Request-Id: abc-1\r\nContent-Length: 1000000000\r\n\r\n"
    answer = talk(web.port, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ") and b"content-type: " + kind in answer
    assert b"x-request-id: abc-1" in answer and b"cache-control: private, no-store" in answer
    assert (b"The request body is too large." in answer) and (b"web/site.css" in answer) is kind.startswith(b"text/html")


def test_slow_bodies_do_not_delay_others(web, key):
    head = b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nx"
    slow = [socket.create_connection(("127.0.0.1", web.port), 10) for _ in range(200)]
    try:
        for one in slow:
            one.sendall(head)
        client = Http(web.port)
        for _ in range(5):
            assert client.request("GET", "/api/usage/current", key=key)[0] == 200
        # None of the slow requests has ended meanwhile.
        assert select.select(slow, [], [], 0)[0] == []
    finally:
        for one in slow:
            one.close()


def test_liveness_needs_no_host_and_no_thread(web):
    for request in (b"GET /livez HTTP/1.0\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: 10.1.2.3\r\nConnection: close\r\n\r\n"):
        assert talk(web.port, request).endswith(b'{"status": "ok"}')
    head = talk(web.port, b"HEAD /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: probe-1\r\nConnection: close\r\n\r\n")
    assert b" 200 " in head and b"x-request-id: probe-1\r\n" in head.lower() and head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"", 400),
        (b"Host: localhost\r\nHost: localhost\r\n", 400),
        (b"Host: localhost\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n", 400),
        (b"Host: localhost\r\nContent-Encoding: gzip\r\n", 415),
    ],
)
def test_ambiguous_headers_are_refused(web, headers, status):
    body = gzip.compress(b"{}")
    length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    answer = talk(web.port, b"POST /api/usage/authorize HTTP/1.1\r\n" + headers + length + body)
    assert answer.startswith(b"HTTP/1.1 %d " % status) and b"application/problem+json" in answer


def test_postgres_connections_have_the_processs_name(web, key):
    assert Http(web.port).request("GET", "/api/usage/current", key=key)[0] == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'contextmcp web' AND datname = current_database()")
        assert cursor.fetchone()[0] >= 1


def test_an_encoded_slash_is_refused(web, key):
    assert Http(web.port).request("GET", "/api%2Fusage/current", key=key)[0] == 404


def test_headers_with_underscores_do_not_reach_django(web):
    answer = talk(web.port, b"GET /livez2 HTTP/1.1\r\nHost: localhost\r\nX_Request_Id: forged\r\nConnection: close\r\n\r\n")
    assert b" 404 " in answer and b"forged" not in answer


def scrape(port):
    """Return the values of a response of /metrics by name and labels."""
    client = Http(port).connection
    client.request("GET", "/metrics", headers={"Authorization": "Bearer metrics-token"})
    answer = client.getresponse()
    assert answer.status == 200
    text = answer.read().decode()
    assert exposed(text) <= documented()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")}


def test_each_process_returns_the_metrics_of_all(transactional_db, key, tmp_path):
    folder = tmp_path / "metrics"
    web = WebProcess(workers=2, METRICS_TOKEN="metrics-token", PROMETHEUS_MULTIPROC_DIR=str(folder))
    try:
        web.wait(60)
        sent, processes = 0, set()
        # On a busy machine one process may accept many connections in a row.
        while len(processes) < 2 and sent < 1_000:
            assert Http(web.port).request("POST", "/api/usage/authorize", {"feature": "context_cache_mb"}, key=key)[0] == 200
            sent += 1
            processes = {path.stem.rpartition("_")[2] for path in folder.glob("counter_*.db")}
        assert len(processes) == 2
        observed = [scrape(web.port) for _ in range(10)]
        decided = 'usage_decisions_total{outcome="allowed"}'
        assert {each[decided] for each in observed} == {sent}
        route = 'http_request_seconds_count{method="POST",route="api/usage/authorize",status="200"}'
        assert {each[route] for each in observed} == {sent}
        # Metrics from the database occur once, without a process ID.
        assert {each["database_up"] for each in observed} == {1.0}
    finally:
        web.stop()
