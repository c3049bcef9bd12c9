"""Calls that are allowed while PostgreSQL is unreachable are stored on disk and counted once."""

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection

from accounts.principal_cache import cache
from contextmcp.common.clock import now
from entitlements import selectors
from entitlements.cache import CACHE
from tests.factories.accounts import OrganizationFactory
from tests.factories.usage import UsageCounterFactory, UsageGaugeFactory
from tests.support.fail_open_catalog import fail_open_catalog
from tests.support.gates import REPOSITORY, environment
from usage.authorize.build import build_authorization
from usage.authorize.requests import Request
from usage.checks import spool_can_be_written
from usage.errors import TemporarilyUnavailable
from usage.models import IdempotencyKey, UsageCounter, UsageEvent, UsageGauge
from usage.operations import outage
from usage.operations.sync_driver import drive
from usage.spool import files, records, replay
from usage.spool import spool as keeper
from usage.store import executor
from usage.store.rebuild import count_mismatched_summaries
from usage.tasks import replay_spool
from usage.tracker import UsageTracker
from usage.types import Item

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def org(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(selectors, "CATALOG", fail_open_catalog(tmp_path_factory.mktemp("catalog"))[1])
    CACHE.reset()
    yield OrganizationFactory()
    CACHE.reset()


@pytest.fixture
def place(tmp_path, settings, monkeypatch):
    """A spool that replays when the test says so."""
    settings.USAGE_SPOOL_DIR = str(tmp_path)
    spool = keeper.Spool()
    monkeypatch.setattr(spool, "start", lambda place: None)
    monkeypatch.setattr(keeper, "SPOOL", spool)
    yield tmp_path
    spool.stop()


@pytest.fixture
def postgres(monkeypatch):
    """Make the database available to decisions, or not, as `there` says."""
    real, result = executor.execute, SimpleNamespace(there=False)

    def execute(jobs):
        if not result.there:
            raise OperationalError("server closed the connection unexpectedly")
        return real(jobs)

    monkeypatch.setattr(executor, "execute", execute)
    return result


def call(org, *items, key=None, tracker=None):
    messages = [Item(*item) if isinstance(item, tuple) else Item(item) for item in items]
    return (tracker or UsageTracker(org)).authorize(Request(messages, single=False), key)


def used(org):
    return sum(UsageCounter.objects.filter(organization=org).values_list("used", flat=True))


def test_a_spooled_call_is_counted_once(org, place, postgres):
    granted = call(org, ("sessions", 3), "best_practices")
    assert granted.answer.recorded is True
    assert [item.used for item in granted.answer.items] == [None, None]
    assert used(org) == 0
    postgres.there = True
    assert keeper.SPOOL.replay(place) == 1
    assert keeper.SPOOL.replay(place) == 0
    assert used(org) == 3
    assert UsageGauge.objects.get(organization=org).value == 1
    assert UsageEvent.objects.get(organization=org).amount == 3
    assert count_mismatched_summaries(str(org.pk)) == 0
    assert not list(place.iterdir())


def test_spooled_calls_count_beyond_the_limit(org, place, postgres):
    UsageCounterFactory(organization=org, used=50)
    call(org, ("sessions", 5))
    postgres.there = True
    keeper.SPOOL.replay(place)
    assert used(org) == 55


def test_idempotency_key_is_single_use_for_every_first_outcome(org, place, postgres):
    """The commit succeeded but its response was lost; the client repeats the call meanwhile, and once more afterwards."""
    postgres.there = True
    first = call(org, "sessions", key="a").body
    postgres.there = False
    for _ in range(2):
        assert call(org, "sessions", key="a").answer.recorded is True
        assert call(org, "sessions", key="b").answer.recorded is True
    postgres.there = True
    assert keeper.SPOOL.replay(place) == 4
    assert used(org) == 2
    assert call(org, "sessions", key="a").body == first
    again = call(org, "sessions", key="b")
    assert (again.replayed, b'"recorded":true' in again.body) == (True, True)
    assert used(org) == 2


def test_lost_commit_response_is_not_counted_again_without_a_key(org, place, monkeypatch):
    real = executor.execute

    def lost(jobs):
        real(jobs)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(executor, "execute", lost)
    assert call(org, "sessions").answer.recorded is True
    monkeypatch.setattr(executor, "execute", real)
    assert keeper.SPOOL.replay(place) == 1
    assert used(org) == 1


def test_call_acknowledged_under_another_requests_key_still_counts(org, place, postgres):
    call(org, ("sessions", 2), key="k")
    call(org, ("sessions", 5), key="k")
    postgres.there = True
    assert keeper.SPOOL.replay(place) == 2
    assert used(org) == 7


def test_releases_are_spooled_and_never_go_below_zero(org, place, postgres):
    UsageGaugeFactory(organization=org, feature="best_practices", value=3)
    for amount in (2, 2):
        assert UsageTracker(org).decrease_gauge("best_practices", amount).answer.recorded is True
    postgres.there = True
    keeper.SPOOL.replay(place)
    assert UsageGauge.objects.get(organization=org).value == 0


@pytest.mark.parametrize("items", [["projects"], ["sessions", "projects"]])
def test_features_without_a_failure_mode_are_refused(org, place, postgres, items):
    with pytest.raises(TemporarilyUnavailable) as refusal:
        call(org, *items)
    assert refusal.value.details == {"feature": "projects", "retry_after": 1}
    assert not list(place.iterdir())


def test_a_hold_is_refused_during_an_outage(org, place, postgres):
    with pytest.raises(TemporarilyUnavailable):
        UsageTracker(org).hold("sessions", 2)


def test_without_a_spool_responses_are_not_recorded(org, place, postgres, settings):
    settings.USAGE_SPOOL_DIR = ""
    assert call(org, "sessions").answer.recorded is False
    replay_spool(0)
    assert not list(place.iterdir())


def test_unwritable_disk_is_reported_and_later_calls_use_another_file(org, place, postgres, monkeypatch):
    call(org, "sessions")
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert call(org, "sessions").answer.recorded is False
    monkeypatch.setattr(os, "fsync", real)
    assert call(org, "sessions").answer.recorded is True
    assert len(files.pending_files(place)) == 2
    monkeypatch.setattr(keeper, "Writer", lambda place: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    keeper.SPOOL.rotate_file()
    assert call(org, "sessions").answer.recorded is False


def test_concurrent_calls_share_an_fsync(org, place, postgres, monkeypatch):
    waits, real = [], os.fsync

    def slow(file):
        waits.append(file)
        real(file)

    tracker = UsageTracker(org)
    entitlements = tracker.entitlements
    asks = [build_authorization(tracker.subject, entitlements, Request([Item("sessions")]), at=now(), real=now()) for _ in range(200)]
    for ask in asks:
        outage.assign_replay_key(ask)
    monkeypatch.setattr(os, "fsync", slow)
    with ThreadPoolExecutor(32) as pool:
        assert all(granted.answer.recorded for granted in pool.map(lambda ask: drive(outage.respond_during_outage(ask)), asks))
    assert len(waits) < 200
    postgres.there = True
    assert keeper.SPOOL.replay(place) == 200
    assert used(org) == 200
    assert IdempotencyKey.objects.filter(organization_id=org.pk).count() == 200


def test_unrecorded_calls_are_never_counted(org, place, postgres, monkeypatch):
    """The disk stored the line and then reported an error."""
    assert call(org, "sessions").answer.recorded
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    assert not call(org, "sessions").answer.recorded
    monkeypatch.setattr(os, "fsync", real)
    postgres.there = True
    keeper.SPOOL.rotate_file()
    keeper.SPOOL.replay(place)
    assert used(org) == 1


def test_incomplete_lines_are_skipped_or_quarantined(org, place, postgres):
    for number in range(3):
        call(org, "sessions", key=str(number))
    keeper.SPOOL.rotate_file()
    (path,) = files.pending_files(place)
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    postgres.there = True
    assert keeper.SPOOL.replay(place) == 2
    assert (used(org), list(place.iterdir())) == (2, [])
    # A different digit, because the checksum may start with any.
    path.write_bytes((b"1" if whole.startswith(b"0") else b"0") + whole[1:])
    assert keeper.SPOOL.replay(place) == 2
    assert used(org) == 3
    assert [remaining.suffix for remaining in place.iterdir()] == [".damaged"]


@pytest.mark.parametrize("line", [b"", b"\n", b"zzzzzzzz {}\n", b"00000000 {}\n", b"a3830a1b {}\n"])
def test_invalid_lines_are_not_decoded(line):
    assert records.decode(line) is None


def test_uncountable_call_is_quarantined_and_the_others_count(org, place, postgres):
    gone = OrganizationFactory()
    call(org, "sessions")
    call(gone, "sessions")
    call(org, "sessions")
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM accounts_membership WHERE organization_id = %s", [gone.pk])
        cursor.execute("DELETE FROM accounts_organization WHERE id = %s", [gone.pk])
        cursor.execute("SET session_replication_role = DEFAULT")
    postgres.there = True
    assert keeper.SPOOL.replay(place) == 3
    assert used(org) == 2
    assert [remaining.suffix for remaining in place.iterdir()] == [".damaged"]


def test_an_outage_during_the_replay_keeps_the_file(org, place, postgres, monkeypatch):
    call(org, "sessions")
    assert keeper.SPOOL.replay(place) == 0
    assert len(files.pending_files(place)) == 1
    monkeypatch.setattr(replay, "psycopg_cursor", lambda: (_ for _ in ()).throw(OperationalError("gone")))
    assert keeper.SPOOL.replay(place) == 0
    monkeypatch.undo()


def test_a_file_of_a_running_process_is_not_claimed(org, place, postgres):
    call(org, "sessions")
    postgres.there = True
    other = keeper.Spool()
    assert other.replay(place) == 0
    (path,) = files.pending_files(place)
    keeper.SPOOL.rotate_file()
    with files.claim(path) as mine, files.claim(path) as theirs:
        assert (len(mine), theirs) == (1, None)
    with files.claim(place / "none.spool") as result:
        assert result is None
    assert other.replay(place) == 1
    assert used(org) == 1


def test_the_worker_replays_files_of_ended_processes(org, place, postgres):
    call(org, "sessions")
    keeper.SPOOL.stop()
    postgres.there = True
    replay_spool(0)
    assert used(org) == 1


def test_a_process_replays_its_own_file(org, tmp_path, postgres, settings, monkeypatch):
    settings.USAGE_SPOOL_DIR = str(tmp_path)
    monkeypatch.setattr(keeper, "CHECK_INTERVAL_SECONDS", 0.02)
    spool = keeper.Spool()
    monkeypatch.setattr(keeper, "SPOOL", spool)
    try:
        call(org, "sessions")
        postgres.there = True
        for _ in range(500):
            if used(org):
                break
            spool._stopping.wait(0.02)
    finally:
        spool.stop()
    assert used(org) == 1


def test_a_fork_does_not_use_the_parents_file(org, place, postgres):
    call(org, "sessions")
    postgres.there = True
    child = os.fork()
    if child == 0:
        keeper.SPOOL.after_fork()
        os._exit(0 if keeper.SPOOL._writer is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert keeper.Spool().replay(place) == 0
    assert keeper.SPOOL.replay(place) == 1


KILLED = """
    import os, signal, sys
    import django
    django.setup()
    from pathlib import Path
    from usage.spool import replay, spool
    from usage.store import executor
    replay.BATCH = 10
    real, times = executor.execute, iter(range(100))
    def execute(jobs):
        if sys.argv[2] == "before" and next(times) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(jobs)
        if sys.argv[2] == "after" and next(times) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    executor.execute = execute
    spool.SPOOL.replay(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_replay_loses_and_doubles_nothing(org, place, postgres, when):
    for number in range(95):
        call(org, ("sessions", 1 + number % 3))
    keeper.SPOOL.rotate_file()
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(place), when]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment(), check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert used(org) == sum(1 + number % 3 for number in range(30 if when == "before" else 40))
    postgres.there = True
    assert keeper.SPOOL.replay(place) == 95
    assert used(org) == sum(1 + number % 3 for number in range(95))
    assert UsageEvent.objects.filter(organization=org).count() == 95
    assert count_mismatched_summaries(str(org.pk)) == 0


def test_missing_directory_is_reported_before_the_start(tmp_path, settings):
    settings.USAGE_SPOOL_DIR = str(tmp_path)
    assert spool_can_be_written() == []
    settings.USAGE_SPOOL_DIR = str(tmp_path / "nowhere")
    assert [result.id for result in spool_can_be_written()] == ["usage.E001"]
    settings.USAGE_SPOOL_DIR = ""
    assert spool_can_be_written() == []
    cache.reset()
