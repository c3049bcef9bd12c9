"""Web and gate respond to the same bytes with the same status and the same code."""

import json
import re
import socket

import psycopg
import pytest
from django.db import connection

from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.support.gates import GateProcess, WebProcess, free_port
from usage.models import UsageCounter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
AUTHORIZE, CURRENT = "POST /api/usage/authorize HTTP/1.1", "GET /api/usage/current HTTP/1.1"
BODY = b'{"feature": "sessions"}'
HOST, TYPE, KEY = "Host: localhost", "Content-Type: application/json", "Authorization: Bearer {key}"
# Requests that the servers refuse before they are complete. granian then sends no body.
NO_BODY_ON_WEB = {"unreadable", "two lengths", "address too long"}

REQUESTS = {
    "plain": ([AUTHORIZE, HOST, KEY, TYPE], BODY),
    "repeated idempotency key": ([AUTHORIZE, HOST, KEY, TYPE, "Idempotency-Key: a", "Idempotency-Key: a"], BODY),
    "repeated authorization": ([AUTHORIZE, HOST, KEY, KEY, TYPE], BODY),
    "repeated content type": ([AUTHORIZE, HOST, KEY, TYPE, TYPE], BODY),
    "repeated other header": ([AUTHORIZE, HOST, KEY, TYPE, "X-A: 1", "X-A: 2"], BODY),
    "no host": ([AUTHORIZE, KEY, TYPE], BODY),
    "no host in http/1.0": (["POST /api/usage/authorize HTTP/1.0", KEY, TYPE], BODY),
    "two hosts": ([AUTHORIZE, HOST, HOST, KEY, TYPE], BODY),
    "absolute form": (["POST http://localhost/api/usage/authorize HTTP/1.1", HOST, KEY, TYPE], BODY),
    "head": (["HEAD /api/usage/current HTTP/1.1", HOST, KEY], b""),
    "head of a post": (["HEAD /api/usage/authorize HTTP/1.1", HOST, KEY], b""),
    "options": (["OPTIONS /api/usage/authorize HTTP/1.1", HOST, KEY], b""),
    "options without a key": (["OPTIONS /api/usage/authorize HTTP/1.1", HOST], b""),
    "put": (["PUT /api/usage/authorize HTTP/1.1", HOST, KEY, TYPE], BODY),
    "get without a key": (["GET /api/usage/authorize HTTP/1.1", HOST], b""),
    "delete": (["DELETE /api/usage/current HTTP/1.1", HOST, KEY], b""),
    "accept html": ([AUTHORIZE, HOST, KEY, TYPE, "Accept: text/html"], BODY),
    "accept nothing known": ([CURRENT, HOST, KEY, "Accept: image/png"], b""),
    "empty content type": ([AUTHORIZE, HOST, KEY, "Content-Type:"], BODY),
    "no content type": ([AUTHORIZE, HOST, KEY], BODY),
    "another content type": ([AUTHORIZE, HOST, KEY, "Content-Type: text/plain"], BODY),
    "a charset": ([AUTHORIZE, HOST, KEY, "Content-Type: application/json; charset=utf-8"], BODY),
    "events without a content type": (["POST /api/usage/events HTTP/1.1", HOST, KEY], BODY),
    "gzip": ([AUTHORIZE, HOST, KEY, TYPE, "Content-Encoding: gzip"], BODY),
    "identity": ([AUTHORIZE, HOST, KEY, TYPE, "Content-Encoding: identity"], BODY),
    "no body": ([AUTHORIZE, HOST, KEY, TYPE], b""),
    "not json": ([AUTHORIZE, HOST, KEY, TYPE], b"{"),
    "encoded slash": (["GET /api%2Fusage/current HTTP/1.1", HOST, KEY], b""),
    "encoded letter": (["GET /api/usage/c%75rrent HTTP/1.1", HOST, KEY], b""),
    "unknown parameter": (["GET /api/usage/current?nonsense=1 HTTP/1.1", HOST, KEY], b""),
    "parameter of authorize": (["POST /api/usage/authorize?nonsense=1 HTTP/1.1", HOST, KEY, TYPE], BODY),
    "no key": ([AUTHORIZE, HOST, TYPE], BODY),
    "another scheme": ([AUTHORIZE, HOST, "Authorization: Basic eDp5", TYPE], BODY),
    "malformed key": ([AUTHORIZE, HOST, "Authorization: Bearer nonsense", TYPE], BODY),
    "underscores": ([AUTHORIZE, HOST, KEY, TYPE, "Idempotency_Key: a", "Idempotency_Key: b"], BODY),
    "no such hold": (["POST /api/usage/holds/nonsense/settle HTTP/1.1", HOST, KEY, TYPE], BODY),
    "unreadable": (["nonsense"], b""),
    "two lengths": ([AUTHORIZE, HOST, KEY, TYPE, "Content-Length: 1"], BODY),
    "address too long": ([f"GET /{'x' * 70_000} HTTP/1.1", HOST], b""),
    "liveness": (["GET /livez HTTP/1.1", "Host: 10.1.2.3"], b""),
}


@pytest.fixture(scope="module")
def ports(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        created = [WebProcess(port=free_port()), GateProcess(port=free_port())]
        try:
            yield [each.wait(120).port for each in created]
        finally:
            for each in created:
                each.stop()


@pytest.fixture
def key(transactional_db):
    return Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key


def answer(port, head, body, key, timeout=20.0):
    """Send the bytes. Return status, headers (lower-case names) and body."""
    lines = [line.replace("{key}", key) for line in head]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join([*lines, "Connection: close"]).encode() + b"\r\n\r\n" + body
    output = b""
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        one.settimeout(timeout)
        try:
            one.sendall(raw)
            while actual := one.recv(65_536):
                output += actual
        except ConnectionError:
            pass
    top, _, rest = output.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d+)", top)
    headers = dict(line.lower().split(b": ", 1) for line in top.split(b"\r\n")[1:] if b": " in line)
    return int(status[1]) if status else 0, headers, rest


def summary(name, reply):
    status, _, body = reply
    document = json.loads(body) if body.startswith(b"{") else {}
    if "status" in document and isinstance(document["status"], int):
        assert document["status"] == status
    return status, None if name in NO_BODY_ON_WEB else document.get("code")


@pytest.mark.parametrize("name", REQUESTS)
def test_status_and_code(ports, key, name):
    head, body = REQUESTS[name]
    web, gate = (answer(port, head, body, key) for port in ports)
    assert summary(name, web) == summary(name, gate)
    assert web[0] != 500
    if web[0] == 405:
        assert web[1][b"allow"] == gate[1][b"allow"]
    if name not in NO_BODY_ON_WEB and any(line.startswith("Authorization") for line in head):
        assert web[1][b"cache-control"] == gate[1][b"cache-control"] == b"private, no-store"


def test_both_servers_refuse_a_locked_row_in_bounded_time(ports, key):
    head, body = REQUESTS["plain"]
    assert answer(ports[0], head, body, key)[0] == 200
    with psycopg.connect(**connection.get_connection_params()) as holder:
        holder.execute(f"SELECT 1 FROM {UsageCounter._meta.db_table} FOR UPDATE")
        web, gate = (answer(port, head, body, key, timeout=30) for port in ports)
    assert summary("held", web) == summary("held", gate) == (503, "temporarily_unavailable")


def test_http_1_0_keeps_a_connection_on_request(ports):
    """As `ab -k` does: it reuses a connection only if the first response contains keep-alive."""
    request = b"GET /livez HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
    with socket.create_connection(("127.0.0.1", ports[1]), 10) as one:
        for _ in range(2):
            one.sendall(request)
            output = b""
            while not output.endswith(b'{"status": "ok"}'):
                output += one.recv(4096)
            assert b"\r\nconnection: keep-alive\r\n" in output
