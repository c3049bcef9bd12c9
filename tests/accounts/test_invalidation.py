"""Cached data is invalidated in all processes within a second."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from datetime import timedelta

import psycopg
import pytest

from accounts import invalidation
from accounts.invalidation import Invalidation, InvalidationWatcher, publish, watcher
from accounts.manager import AuthManager
from accounts.models import ApiKey, InvalidationEntry
from accounts.principal_cache import MISS, cache
from accounts.tasks import purge_invalidations
from contextmcp.common import valkey
from contextmcp.common.clock import now
from tests.factories.accounts import MembershipFactory, key_of
from tests.support.databases import connect, environment

committed = pytest.mark.django_db(transaction=True)


@contextmanager
def process(keys, **variables):
    """Start another process that caches these keys. Yield a queue of its output."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.principal_cache_process", *keys],
        env=environment() | variables,
        stdout=subprocess.PIPE,
        text=True,
    )
    output = queue.Queue()
    threading.Thread(target=lambda: [output.put(json.loads(line)) for line in child.stdout], daemon=True).start()
    try:
        for _ in keys:
            output.get(timeout=30)
        yield output
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@committed
@pytest.mark.parametrize("reaches_valkey", [True, False], ids=["with Valkey", "without Valkey"])
def test_other_processes_are_invalidated_within_a_second(acme, owner, stranger, reaches_valkey):
    people = [MembershipFactory(organization=acme, role=role) for role in ("admin", "member", "admin")]
    others = [*people, owner.membership, owner.membership, stranger.membership]
    keys = [key_of(membership, ["usage:read"], name=f"key {number}") for number, membership in enumerate(others)]
    rows = {row.name: row.pk for row in ApiKey.objects.all()}
    manager, actor = AuthManager(acme), owner.caller
    changes = [
        (0, "viewer", lambda: manager.change_role(actor, people[0].pk, "viewer")),
        (1, "permission_denied", lambda: manager.remove_member(actor, people[1].pk)),
        (2, "permission_denied", lambda: _deactivate(people[2].user)),
        (3, "key_revoked", lambda: manager.revoke_key(actor, rows["key 3"])),
        (4, "key_expired", lambda: manager.rotate_key(actor, rows["key 4"], timedelta(0))),
        (5, "key_revoked", lambda: AuthManager(stranger.organization).close(stranger.caller)),
    ]
    with process(keys, **({} if reaches_valkey else {"REDIS_URL": "redis://127.0.0.1:1/0"})) as error:
        time.sleep(0.7)  # Past the first poll.
        for number, state, change in changes:
            change()
            started = time.time()
            received = error.get(timeout=5)
            assert (received["key"], received["state"]) == (number, state)
            assert received["at"] - started < 1


def _deactivate(user):
    user.is_active = False
    user.save()


@committed
def test_a_message_in_valkey_triggers_a_poll(acme, owner):
    """Without it the average would be a quarter of a second."""
    raws = [key_of(owner.membership, ["usage:read"], name=f"key {number}") for number in range(5)]
    delays = []
    with process(raws) as error:
        time.sleep(0.7)
        for row in ApiKey.objects.all():
            started = time.time()
            AuthManager(acme).revoke_key(None, row.pk)
            delays.append(error.get(timeout=5)["at"] - started)
    assert sorted(delays)[2] < 0.2


@pytest.fixture
def received():
    return []


@pytest.fixture
def watching(received):
    """A watcher whose polls are run by the test."""
    created = InvalidationWatcher()
    created.subscribe(received.append)
    return created


@committed
class TestLooking:
    def test_the_first_poll_clears_the_caches(self, watching, received, acme):
        publish("entitlements", acme.pk)
        watching._round()
        assert received == [Invalidation(None, None, "start")]
        assert watching.is_fresh()
        watching.stop()

    def test_each_invalidation_is_delivered_once(self, watching, received, acme):
        watching._round()
        publish("entitlements", acme.pk)
        publish("everything", None)
        for _ in range(3):
            watching._round()
        assert received[1:] == [Invalidation(acme.pk, None, "entitlements"), Invalidation(None, None, "everything")]

    def test_an_entry_committed_late_is_not_missed(self, watching, received):
        insert = "INSERT INTO accounts_invalidationentry (kind) VALUES (%s)"
        watching._round()
        with closing(connect()) as slow, closing(connect(autocommit=True)) as quick:
            slow.execute(insert, ["slow"])
            quick.execute(insert, ["quick"])
            watching._round()
            assert [notice.kind for notice in received[1:]] == ["quick"]
            slow.commit()
            watching._round()
            assert [notice.kind for notice in received[1:]] == ["quick", "slow"]

    def test_caches_are_cleared_after_a_long_gap(self, watching, received, monkeypatch):
        watching._round()
        monkeypatch.setattr(invalidation, "MAX_POLL_GAP_SECONDS", 0.0)
        watching._round()
        assert received == [Invalidation(None, None, "start")] * 2

    def test_an_outage_makes_it_stale_until_postgres_returns(self, watching, received, monkeypatch, caplog):
        watching._round()
        monkeypatch.setattr(invalidation, "STALE_SECONDS", 0.05)
        watching._connection.close()
        with monkeypatch.context() as gone:
            gone.setattr(invalidation, "_connect", lambda: psycopg.connect("postgres://stranger:s3cret@127.0.0.1:1/x"))
            watching._round()
        time.sleep(0.06)
        assert not watching.is_fresh()
        assert "OperationalError" in caplog.text and "s3cret" not in caplog.text
        publish("entitlements", None)
        watching._round()
        assert watching.is_fresh()
        assert [notice.kind for notice in received] == ["start", "entitlements"]

    def test_a_killed_connection_is_replaced(self, watching, received):
        watching._round()
        with closing(connect(autocommit=True)) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [watching._connection.info.backend_pid])
        watching._round()
        publish("entitlements", None)
        watching._round()
        assert [notice.kind for notice in received] == ["start", "entitlements"]

    def test_a_failing_listener_does_not_affect_others(self, received, caplog):
        created = InvalidationWatcher()
        created.subscribe(lambda notice: 1 / 0)
        created.subscribe(received.append)
        created._round()
        assert len(received) == 1
        assert "ZeroDivisionError" in caplog.text

    def test_failing_periodic_work_does_not_stop_polling(self, watching, received, caplog):
        watching.periodic(0, lambda connection: 1 / 0)
        for _ in range(2):
            watching._round()
        assert watching.is_fresh()
        assert "ZeroDivisionError" in caplog.text

    def test_a_locked_row_is_not_reported_as_a_failed_poll(self, watching, received, caplog):
        def locked(connection):
            raise psycopg.errors.LockNotAvailable("held")

        watching.periodic(0, locked)
        watching._round()
        assert watching.is_fresh()
        assert "failed: 55P03" in caplog.text
        assert "Invalidations could not be read" not in caplog.text

    def test_stopping_runs_the_periodic_work_and_allows_a_restart(self, watching, received, acme):
        done = []
        watching.periodic(3600, done.append)
        for run in (1, 2):
            watching.start()
            watching.start()
            deadline = time.monotonic() + 5
            while not watching.is_fresh() and time.monotonic() < deadline:
                time.sleep(0.01)
            watching.stop()
            assert not watching.is_fresh()
            assert len(done) == run + 1

    def test_without_redis_url_the_watcher_only_polls(self, watching, settings):
        settings.REDIS_URL = ""
        valkey.client.cache_clear()
        try:
            watching._listen()
            publish("entitlements", None)
        finally:
            valkey.client.cache_clear()
        assert InvalidationEntry.objects.filter(kind="entitlements").exists()

    def test_publishing_works_without_valkey(self, settings):
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        valkey.client.cache_clear()
        try:
            publish("entitlements", None)
        finally:
            valkey.client.cache_clear()
        assert InvalidationEntry.objects.get(kind="entitlements")


@committed
def test_a_forked_process_discards_inherited_caches(owner):
    raw = owner.key
    _warm(raw)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"1" if cache.get(raw, stale=True) is MISS and not watcher._threads and not watcher.is_fresh() else b"0")
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as answer:
        assert answer.read() == b"1"
    assert cache.get(raw) is not MISS


def _warm(raw):
    deadline = time.monotonic() + 10
    while cache.get(raw) is MISS and time.monotonic() < deadline:
        cache.load(raw)
        time.sleep(0.02)
    assert cache.get(raw) is not MISS


def test_rows_are_kept_for_an_hour(db):
    for age in (timedelta(minutes=59), timedelta(minutes=61)):
        created = InvalidationEntry.objects.create(kind="entitlements")
        InvalidationEntry.objects.filter(pk=created.pk).update(created_at=now() - age)
    purge_invalidations(0)
    assert InvalidationEntry.objects.count() == 1


class TestTriggers:
    def test_last_use_and_names_write_no_invalidation(self, owner):
        ApiKey.objects.filter(public_id=owner.key[13:25]).update(last_used_at=now(), name="x")
        owner.organization.name = "y"
        owner.organization.save()
        owner.membership.save()
        assert not InvalidationEntry.objects.exists()

    def test_every_write_of_the_row_writes_an_invalidation(self, owner, admin):
        row = ApiKey.objects.get(public_id=owner.key[13:25])
        ApiKey.objects.update(scopes=[])
        assert InvalidationEntry.objects.latest("id").key_id == row.pk
        admin.membership.delete()
        assert InvalidationEntry.objects.latest("id").kind == "member"
        row.delete()
        assert InvalidationEntry.objects.latest("id").kind == "key"
