"""The gate while Postgres or Valkey is unavailable, and after the recovery."""

import os
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.usage import UsageCounterFactory
from tests.support.fail_open_catalog import fail_open_catalog
from tests.support.gates import Http, gate_process
from tests.support.workers import until
from usage.models import UsageCounter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]
AUTHORIZE = "/api/usage/authorize"
BOTH = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}


@pytest.fixture
def acme():
    organization = OrganizationFactory(owner=UserFactory())
    return Person(organization.memberships.select_related("organization", "user").get())


@pytest.fixture(scope="module")
def gate(django_db_setup, django_db_blocker):
    """A gate that survives the tests. Those that kill or configure it start their own."""
    with django_db_blocker.unblock(), gate_process() as process:
        yield process


def doors(*, open_):
    """Close the database to new connections and terminate the existing ones."""
    connection.close()
    name = connection.settings_dict["NAME"]
    address = urlsplit(os.environ["DATABASE_URL"])._replace(path="/postgres").geturl()
    with psycopg.connect(address, autocommit=True) as outside:
        outside.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(open_)))
        if not open_:
            outside.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def test_without_postgres_requests_are_refused_until_it_returns(acme, gate):
    client = Http(gate.port)
    key = acme.key
    assert client.post(AUTHORIZE, BOTH, key=key)[0] == 200
    time.sleep(0.7)  # Data that was read before the first poll of the process is not cached.
    assert client.post(AUTHORIZE, {"feature": "basic_context"}, key=key)[0] == 200
    doors(open_=False)
    try:
        for wait in (0, 1.5):  # Before and after the cached entry becomes stale.
            time.sleep(wait)
            status, headers, output = client.post(AUTHORIZE, BOTH, key=key)
            assert (status, output["code"], headers["retry-after"]) == (503, "temporarily_unavailable", "1")
            assert client.post("/api/usage/events", {"feature": "sessions"}, key=key)[0] == 503
            assert client.post("/api/entitlements/check", {"feature": "sessions"}, key=key)[2]["code"] == "temporarily_unavailable"
            assert client.post(AUTHORIZE, {"feature": "basic_context"}, key=key)[0] == 200
            assert client.post(AUTHORIZE, {"feature": "team_members"}, key=key)[0] == 503
        output = client.post(AUTHORIZE, {"feature": "session_creation"}, key=key)[2]
        assert output["used"] == 2  # Refused calls released their rate limit.
        assert client.post(AUTHORIZE, BOTH, key=key[:-1] + ("A" if key[-1] != "A" else "B"))[0] == 401
    finally:
        doors(open_=True)
    assert client.post(AUTHORIZE, BOTH, key=key)[0] == 200
    assert UsageCounter.objects.get(organization=acme.organization).used == 2


def test_fail_open_calls_are_spooled_and_counted_once_after_a_kill(acme, tmp_path):
    """The gate that spooled it is killed while Postgres is away, and the next one while it counts or soon after."""
    spool = tmp_path / "spool"
    spool.mkdir()
    loose = {"CATALOG_FILE": str(fail_open_catalog(tmp_path)[0]), "USAGE_SPOOL_DIR": str(spool)}
    call = {"feature": "sessions"}
    with gate_process(**loose) as gate:
        client = Http(gate.port)
        assert client.post(AUTHORIZE, call, key=acme.key)[2]["used"] == 1
        time.sleep(0.7)
        assert client.post(AUTHORIZE, call, key=acme.key, idempotency_key="first")[2]["used"] == 2
        doors(open_=False)
        try:
            for name in ("first", "second", "second", "third"):
                status, _, output = client.post(AUTHORIZE, call, key=acme.key, idempotency_key=name)
                assert (status, output["recorded"], output["used"]) == (200, True, None)
            for _ in range(5):
                assert client.post(AUTHORIZE, {"items": [call, {"feature": "session_creation"}]}, key=acme.key)[2]["recorded"] is True
            assert client.post(AUTHORIZE, call | {"hold": True}, key=acme.key)[0] == 503
            assert client.post(AUTHORIZE, {"feature": "projects"}, key=acme.key)[0] == 503
        finally:
            gate.kill()
            doors(open_=True)
    assert len(list(spool.iterdir())) == 1
    for _ in range(2):
        with gate_process(**loose) as gate:
            assert Http(gate.port).post(AUTHORIZE, {"feature": "basic_context"}, key=acme.key)[0] == 200
            until(lambda: not list(spool.iterdir()), "the spool is empty")
            gate.kill()
    assert UsageCounter.objects.get(organization=acme.organization).used == 2 + 2 + 5


def test_without_valkey_quotas_are_exact_and_rates_fail_open(acme):
    UsageCounterFactory(organization=acme.organization, used=48)
    with gate_process(REDIS_URL="unix:///nowhere/valkey.sock") as gate:
        client = Http(gate.port)
        statuses = [client.post(AUTHORIZE, BOTH, key=acme.key)[0] for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        for _ in range(15):
            assert client.post(AUTHORIZE, {"feature": "session_creation"}, key=acme.key)[0] == 200


def test_a_full_valkey_counts_as_unreachable(acme):
    """The gate reports it and closes the connection."""
    full = socket.create_server(("127.0.0.1", 0))

    def refuse():
        with suppress(OSError):
            while True:
                client, _ = full.accept()
                client.sendall(b"-ERR max number of clients reached\r\n")
                client.close()

    threading.Thread(target=refuse, daemon=True).start()
    with gate_process(REDIS_URL=f"redis://127.0.0.1:{full.getsockname()[1]}/0") as gate:
        client = Http(gate.port)
        for _ in range(5):
            assert client.post(AUTHORIZE, {"feature": "context_queries"}, key=acme.key)[0] == 200
    full.close()


def test_locked_rows_delay_only_their_organization(acme, gate):
    other = Person(OrganizationFactory(owner=UserFactory()).memberships.get())
    answers = {}
    for person in (acme, other):
        assert Http(gate.port).post(AUTHORIZE, {"feature": "sessions"}, key=person.key)[0] == 200

    def ask(name, person):
        answers[name] = Http(gate.port).post(AUTHORIZE, {"feature": "sessions"}, key=person.key)

    callers = [threading.Thread(target=ask, args=(f"held {number}", acme)) for number in range(4)]
    callers.append(threading.Thread(target=ask, args=("other", other)))
    with psycopg.connect(**connection.get_connection_params()) as holder:
        holder.execute("SELECT 1 FROM usage_counters WHERE organization_id = %s FOR UPDATE", [acme.organization.pk])
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert answers.pop("other")[0] == 200
    for status, headers, body in answers.values():
        assert (status, body["code"], headers.get("Retry-After") or headers.get("retry-after")) == (503, "temporarily_unavailable", "1")
    assert Http(gate.port).post(AUTHORIZE, {"feature": "sessions"}, key=acme.key)[2]["used"] == 2


def test_an_unresponsive_postgres_counts_as_unreachable(acme, gate):
    with psycopg.connect(**connection.get_connection_params()) as holder:
        key = acme.key
        holder.execute("LOCK TABLE accounts_apikey IN ACCESS EXCLUSIVE MODE")
        status, _, body = Http(gate.port).post(AUTHORIZE, {"feature": "basic_context"}, key=key)
        assert (status, body["code"]) == (503, "temporarily_unavailable")
        holder.rollback()
        assert Http(gate.port).post(AUTHORIZE, {"feature": "basic_context"}, key=key)[0] == 200


def test_terminated_connection_is_reopened(acme, gate):
    client = Http(gate.port)
    assert client.post(AUTHORIZE, {"feature": "sessions"}, key=acme.key)[0] == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'contextmcp gate'")
        assert cursor.rowcount >= 1
    time.sleep(0.1)
    statuses = [client.post(AUTHORIZE, {"feature": "sessions"}, key=acme.key)[0] for _ in range(2)]
    assert statuses[1] == 200
    assert UsageCounter.objects.get(organization=acme.organization).used == 1 + statuses.count(200)
