"""The gate's HTTP: requests that arrive in pieces, pipelined, or incomplete."""

import json
import re
import socket
import time

import psutil
import pytest

from accounts.models import ApiKey
from contextmcp.common.clock import now
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.support.gates import gate_process

pytestmark = pytest.mark.django_db(transaction=True)
LIFE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def gate(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), gate_process() as process:
        yield process


def talk(port, *pieces, pause=0.0, whole=True):
    """Return everything that the server sends until it closes, or has nothing more to send."""
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        output = b""
        try:
            for piece in pieces:
                one.sendall(piece)
                time.sleep(pause)
        except OSError:
            pass
        one.settimeout(5 if whole else 1)
        try:
            while actual := one.recv(65_536):
                output += actual
        except (TimeoutError, ConnectionResetError):
            pass
        return output


def test_pipelined_requests_are_answered_in_order(gate):
    output = talk(gate.port, LIFE * 9 + b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert output.count(b"HTTP/1.1 200 OK") == 9
    assert output.rindex(b"HTTP/1.1 404") > output.rindex(b"HTTP/1.1 200 OK")
    assert b"connection: close" in output[output.rindex(b"HTTP/1.1 404") :]


def test_a_request_in_many_pieces_is_assembled(gate):
    raw, body = Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key, json.dumps({"feature": "sessions"}).encode()
    head = f"POST /api/usage/authorize?x=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {raw}\r\nConnection: close\r\n"
    plain = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    assert b'"used":1' in talk(gate.port, *(plain[at : at + 40] for at in range(0, len(plain), 40)), pause=0.005)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:])) + b"0\r\n\r\n"
    waits = f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n".encode()
    output = talk(gate.port, waits, chunks, pause=0.1)
    assert output.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    assert b'"used":2' in output


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n" + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b" " * 11_000_000, 413),
    ],
)
def test_malformed_requests_close_the_connection(gate, sent, status):
    output = talk(gate.port, sent)
    assert output == b"" or output.startswith(b"HTTP/1.1 %d " % status)  # A reset may arrive before the response if the client still sends.
    assert b"connection: close" in output or output == b""
    if output:
        assert f'"status":{status}' in output.decode().replace(" ", "")
    assert b"200 OK" in talk(gate.port, LIFE, whole=False)


def test_http_1_0_head_and_upgrade_are_supported(gate):
    assert talk(gate.port, b"GET /livez HTTP/1.0\r\n\r\n").endswith(b'{"status": "ok"}')
    assert talk(gate.port, b"HEAD /livez HTTP/1.1\r\nConnection: close\r\n\r\n").endswith(b"\r\n\r\n")
    output = talk(gate.port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert output.startswith(b"HTTP/1.1 200 OK")


def test_a_body_after_an_upgrade_header_is_read(gate):
    """Java's client offers HTTP/2 with every request."""
    raw, body = Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key, json.dumps({"feature": "sessions"}).encode()
    plain = f"POST /api/usage/authorize HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {raw}\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    plain += "Upgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\nContent-Type: application/json\r\n"
    head = f"{plain}Content-Length: {len(body)}\r\n\r\n".encode()
    assert b'"used":1' in talk(gate.port, head + body, whole=False)
    assert b'"used":2' in talk(gate.port, head, body[:5], body[5:], pause=0.05, whole=False)
    output = talk(gate.port, head + body + LIFE + head + body, whole=False)
    assert output.index(b'"used":3') < output.index(b'{"status": "ok"}') < output.index(b'"used":4')
    chunks = f"{plain}Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n%x\r\n".encode() % len(body) + body + b"\r\n0\r\n\r\n"
    output = talk(gate.port, chunks, whole=False)
    assert output.count(b"100 Continue") == 1
    assert b'"used":5' in output
    assert talk(gate.port, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_trailers_are_ignored(gate):
    raw, body = Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key, json.dumps({"feature": "sessions"}).encode()
    head = b"POST /api/usage/authorize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    behind = f"0\r\nAuthorization: Bearer {raw}\r\n\r\n".encode()
    assert talk(gate.port, head + b"%x\r\n%s\r\n" % (len(body), body) + behind, whole=False).startswith(b"HTTP/1.1 401")


def keyed(key, *headers):
    """Return the head and the body of a request with this key."""
    body = json.dumps({"feature": "sessions"}).encode()
    lines = ["POST /api/usage/authorize HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}\r\n\r\n"]).encode(), body


def test_each_request_uses_its_own_key(gate):
    first, second = (Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key for _ in range(2))
    (head, body), (other_head, other_body) = keyed(first), keyed(second)
    # The second key is read before the first request is answered, and its body comes after that.
    output = talk(gate.port, head + body + other_head, other_body, other_head + other_body + head + body, pause=0.5, whole=False)
    assert re.findall(rb'"used":(\d)', output) == [b"1", b"1", b"2", b"2"]


def test_a_revoked_key_is_refused_on_an_open_connection(gate):
    person = Person(OrganizationFactory(owner=UserFactory()).memberships.get())
    head, body = keyed(person.key)
    with socket.create_connection(("127.0.0.1", gate.port), 10) as one:
        for expected in (b"HTTP/1.1 200", b"HTTP/1.1 200"):
            one.sendall(head + body)
            assert one.recv(65_536).startswith(expected)
        ApiKey.objects.filter(organization=person.organization).update(revoked_at=now())
        until = time.monotonic() + 20
        while True:
            one.sendall(head + body)
            output = one.recv(65_536)
            if output.startswith(b"HTTP/1.1 401"):
                break
            assert time.monotonic() < until
            time.sleep(0.05)


def test_second_credential_is_refused_also_with_an_upgrade_header(gate):
    key = Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key
    twice, offer = f"Authorization: Bearer {key}", ("Connection: Upgrade", "Upgrade: h2c")
    for headers in ((twice,), (twice, *offer)):
        output = talk(gate.port, b"".join(keyed(key, *headers)), whole=False)
        assert output.startswith(b"HTTP/1.1 400 ") and b"authorization may be sent only once" in output


def clients(gate, number):
    """Open connections and wait until each is served. Return them and the number of connections of each worker."""
    new_rows = []
    for _ in range(number):
        new_rows.append(socket.create_connection(("127.0.0.1", gate.port), 10))
        new_rows[-1].sendall(LIFE)
        assert new_rows[-1].recv(100).startswith(b"HTTP/1.1 200 OK")
    shares = []
    for worker in psutil.Process(gate.process.pid).children():
        established = [one for one in worker.net_connections() if one.status == psutil.CONN_ESTABLISHED]
        shares.append(sum(one.laddr.port == gate.port for one in established))
    for each in new_rows:
        each.close()
    return sorted(shares)


def test_workers_share_their_clients_evenly(transactional_db):
    with gate_process(workers=2) as gate:
        until = time.monotonic() + 20
        while clients(gate, 2) != [1, 1]:  # The second worker starts.
            assert time.monotonic() < until
            time.sleep(0.1)
        time.sleep(0.2)
        assert clients(gate, 8) == [4, 4]


@pytest.fixture
def mortal_gate(transactional_db):
    with gate_process() as process:
        yield process


def test_a_dead_worker_is_restarted_and_ends_with_its_parent(mortal_gate):
    gate = mortal_gate
    (worker,) = psutil.Process(gate.process.pid).children()
    worker.kill()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        children = psutil.Process(gate.process.pid).children()
        if children and children[0].pid != worker.pid and b"200 OK" in talk(gate.port, LIFE, whole=False):
            break
        time.sleep(0.2)
    (worker,) = psutil.Process(gate.process.pid).children()
    gate.process.kill()
    gate.process.wait(5)
    psutil.wait_procs([worker], timeout=10)
    assert not worker.is_running()
