"""Anonymous clients cannot exhaust the gate's memory, connections or CPU time."""

import resource
import socket
import time
from contextlib import suppress

import psutil
import pytest

from accounts.key_format import generate
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.support.gates import Http, gate_process
from tests.support.metrics import documented, exposed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
AUTHORIZE = "/api/usage/authorize"
LIMIT = 2 * 2**20


@pytest.fixture(scope="module")
def gate(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), gate_process(GATE_MAX_CONNECTIONS="600", METRICS_TOKEN="t") as process:
        yield process


@pytest.fixture
def client(gate):
    """A client whose key the gate has verified."""
    new_rows = Http(gate.port)
    new_rows.key = Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key
    assert serves(new_rows)
    return new_rows


def serves(client):
    return client.post(AUTHORIZE, {"feature": "sessions"}, key=client.key)[0] == 200


def worker_of(gate):
    return psutil.Process(gate.process.pid).children()[0]


def head(key="", length=1000):
    credential = f"Authorization: Bearer {key}\r\n" if key else ""
    return (
        f"POST {AUTHORIZE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{credential}Content-Length: {length}\r\n\r\n".encode()
    )


def read(one, timeout=5.0):
    one.settimeout(timeout)
    output = b""
    try:
        while actual := one.recv(65_536):
            output += actual
    except (TimeoutError, ConnectionError):
        pass
    return output


def test_the_oldest_idle_connections_are_evicted_at_the_limit(gate, client):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    before = worker_of(gate).memory_info().rss
    idle = []
    try:
        for _ in range(1500):
            idle.append(socket.create_connection(("127.0.0.1", gate.port), 30))
        assert serves(client), "a connection with a verified key is kept"
        fresh = Http(gate.port)
        fresh.key = client.key
        assert serves(fresh)
        assert worker_of(gate).memory_info().rss - before < 32 * 2**20
        assert len(worker_of(gate).net_connections()) < 700
    finally:
        for one in idle:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_bodies_of_refused_requests_are_discarded(gate, client):
    before = worker_of(gate).memory_info().rss
    slow = [socket.create_connection(("127.0.0.1", gate.port), 30) for _ in range(100)]
    for one in slow:
        one.sendall(head(length=LIMIT) + b" " * (LIMIT - 1))
    assert serves(client)
    assert worker_of(gate).memory_info().rss - before < 32 * 2**20
    slow[0].sendall(b" ")
    assert read(slow[0], 2).startswith(b"HTTP/1.1 401 ")
    for one in slow:
        one.close()


def test_unverified_callers_share_a_bounded_amount_of_memory(gate, client):
    key, before, statuses = generate("test"), worker_of(gate).memory_info().rss, []
    slow = [socket.create_connection(("127.0.0.1", gate.port), 30) for _ in range(100)]
    for one in slow:
        with suppress(ConnectionError):
            one.sendall(head(key, LIMIT) + b" " * (LIMIT - 1))
    assert client.post("/api/usage/authorize", {"feature": "sessions", "amount": 1}, key=client.key)[0] == 200
    assert worker_of(gate).memory_info().rss - before < 160 * 2**20
    for one in slow:
        output = read(one, 0.05)
        statuses.append(output[9:12])
        one.close()
    assert 10 < statuses.count(b"503") < 90
    time.sleep(1.5)
    assert serves(client)


def test_a_large_content_length_is_refused_immediately(gate, client):
    with socket.create_connection(("127.0.0.1", gate.port), 30) as one:
        one.sendall(head(client.key, 10**9) + b" " * 100_000)
        output = read(one)
    assert output.startswith(b"HTTP/1.1 413 ") and b'"status":413' in output.replace(b" ", b"")
    with socket.create_connection(("127.0.0.1", gate.port), 30) as one:
        one.sendall(head(client.key).replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked"))
        sent, chunk = 0, b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        try:
            while sent < 1000:
                one.sendall(chunk)
                sent += 1
        except ConnectionError:
            pass
    assert sent < 64
    assert serves(client)


def test_slow_bodies_get_408_and_slow_headers_are_closed(gate, client):
    body, headers = (socket.create_connection(("127.0.0.1", gate.port), 30) for _ in range(2))
    body.sendall(head(client.key) + b"x")
    headers.sendall(b"GET /livez HTTP/1.1\r\nHost:")
    started = time.monotonic()
    assert read(headers, 60) == b""
    assert time.monotonic() - started > 14
    assert read(body, 60).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started > 29


def scrape(client):
    client.connection.request("GET", "/metrics", headers={"Authorization": "Bearer t"})
    return client.connection.getresponse().read().decode()


def value(text, sample):
    """Return the value of a sample, which is 0 before its first observation."""
    return next((float(line.removeprefix(sample)) for line in text.splitlines() if line.startswith(f"{sample} ")), 0.0)


def test_request_ids_and_metrics(gate, client):
    before = scrape(client)
    assert client.request("GET", "/livez", X_Request_Id="abc-1")[1]["x-request-id"] == "abc-1"
    status, headers, _ = client.post(AUTHORIZE, {"feature": "nonsense"}, key=client.key, X_Request_Id="not valid\t")
    assert status == 422 and len(headers["x-request-id"]) == 32
    assert serves(client)
    assert client.request("GET", "/metrics")[0] == 404
    text = scrape(client)
    for sample in (
        'gate_responses_total{code="validation_error",route="/api/usage/authorize"}',
        'http_request_seconds_count{method="POST",route="/api/usage/authorize",status="200"}',
    ):
        assert value(text, sample) - value(before, sample) == 1
    assert {"gate_connections", "gate_batches_total"} <= exposed(text) <= documented()
