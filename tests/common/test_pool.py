"""The threads of a web process share a bounded number of connections to Postgres."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection

from contextmcp.common import pool as pools
from contextmcp.common.db import check_pooling, limit_waiting
from contextmcp.common.pool import Pool, PoolTimeout
from tests.support.gates import environment

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def created():
    return []


@pytest.fixture
def pool(created, transactional_db):
    parameters = connection.get_connection_params()

    def connect():
        created.append(psycopg.connect(**parameters, autocommit=True))
        limit_waiting(created[-1])
        return created[-1]

    result = Pool(connect, 2)
    yield result
    result.close()
    for each in created:
        each.close()


def test_many_threads_share_few_connections(pool, created):
    together = threading.Barrier(2)

    def work(number):
        one = pool.getconn()
        try:
            if number < 2:
                together.wait(10)
            return one.execute("SELECT current_setting('lock_timeout')").fetchone()[0]
        finally:
            pool.putconn(one)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(work, range(40))) == {"2s"}
    assert len(created) == 2


def test_waiting_for_a_connection_times_out(pool, monkeypatch):
    monkeypatch.setattr(pools, "WAIT_SECONDS", 0.1)
    one, other = pool.getconn(), pool.getconn()
    with pytest.raises(PoolTimeout) as error:
        pool.getconn()
    assert error.value.sqlstate == "53300"
    pool.putconn(one)
    assert pool.getconn() is one
    pool.putconn(other)


def test_unusable_connections_are_not_reused(pool, created, monkeypatch):
    one = pool.getconn()
    pool.putconn(one)
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as control:
        control.execute("SELECT pg_terminate_backend(%s)", [one.info.backend_pid])
    two = pool.getconn()
    assert two is not one and one.closed
    two.execute("BEGIN")
    pool.putconn(two)
    assert two.closed
    monkeypatch.setattr(pools, "IDLE_SECONDS", -1)
    three, four = pool.getconn(), pool.getconn()
    pool.putconn(three)
    pool.putconn(four)
    assert three.closed and len(created) == 4


def test_a_failed_connect_does_not_use_up_a_connection(pool, monkeypatch):
    monkeypatch.setattr(pools, "WAIT_SECONDS", 0.1)

    def fail():
        raise psycopg.OperationalError("refused")

    with monkeypatch.context() as patched:
        patched.setattr(pool, "_connect", fail)
        for _ in range(4):
            with pytest.raises(psycopg.OperationalError, match="refused"):
                pool.getconn()
    pool.putconn(pool.getconn())


def test_a_direct_connection_is_not_detected_as_a_pooler(transactional_db):
    check_pooling()


def test_the_web_application_uses_the_pool(transactional_db):
    code = (
        "import contextmcp.asgi, threading\n"
        "from django.db import connection, connections\n"
        "seen = set()\n"
        "def work():\n"
        "    with connection.cursor() as cursor:\n"
        "        cursor.execute(\"SELECT pg_backend_pid(), current_setting('statement_timeout'), current_setting('TimeZone')\")\n"
        "        seen.add(cursor.fetchone())\n"
        "    connections.close_all()\n"
        "for _ in range(5):\n"
        "    thread = threading.Thread(target=work); thread.start(); thread.join()\n"
        "print(len(seen), *sorted(seen)[0][1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["1", "20s", "UTC"], done.stderr
