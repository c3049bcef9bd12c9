"""Counts of incidents: recorded in memory, written in batches, bounded."""

from datetime import timedelta

import psycopg
import pytest
from django.db import connection

from accounts import key_format
from accounts.principal_cache import cache
from contextmcp.common import incident_totals
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError
from contextmcp.common.incidents import INCIDENTS, MAX_SUBJECTS, OTHERS, REVOKED_KEY, SERVER_ERROR, UNKNOWN_KEY, Incidents
from contextmcp.common.middleware import client_address, forwarded_address
from contextmcp.common.models import IncidentCount

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_counts_of_other_tests(db):
    """Delete the counts that the cache watcher of this process has committed, outside of the transactions of tests."""
    IncidentCount.objects.all().delete()


HOUR = timedelta(hours=1)


def flush(incidents):
    connection.ensure_connection()
    incidents.flush(connection.connection)


@pytest.fixture(autouse=True)
def _no_earlier_incidents():
    INCIDENTS.__init__()


def test_counts_of_several_processes_are_added():
    for _ in range(2):
        process = Incidents()
        for _ in range(3):
            process.record(UNKNOWN_KEY, "192.0.2.1")
        process.record(UNKNOWN_KEY, "192.0.2.2")
        flush(process)
        flush(process)
    assert incident_totals.totals(UNKNOWN_KEY, HOUR) == {"192.0.2.1": 6, "192.0.2.2": 2}


def test_a_flood_of_subjects_stays_bounded():
    process = Incidents()
    for number in range(5000):
        process.record(UNKNOWN_KEY, f"2001:db8::{number:x}")
    flush(process)
    totals = incident_totals.totals(UNKNOWN_KEY, HOUR)
    assert len(totals) <= 2 * (MAX_SUBJECTS + 1)
    assert sum(totals.values()) == 5000
    assert totals[OTHERS] >= 5000 - 2 * MAX_SUBJECTS


def test_counts_are_kept_while_they_cannot_be_written():
    process = Incidents()
    process.record(SERVER_ERROR, "x")

    class Broken:
        def execute(self, *args):
            raise psycopg.OperationalError

    with pytest.raises(psycopg.OperationalError):
        process.flush(Broken())
    process.record(SERVER_ERROR, "x")
    flush(process)
    assert incident_totals.totals(SERVER_ERROR, HOUR) == {"x": 2}


def test_a_revoked_key_is_counted_without_its_secret(owner):
    key = owner.key
    stored = owner.organization.api_keys.get()
    stored.revoked_at = now()
    stored.save()
    cache.reset()
    with pytest.raises(DomainError):
        cache.load(key)
    flush(INCIDENTS)
    assert incident_totals.totals(REVOKED_KEY, HOUR) == {str(stored.pk): 1}
    assert not any(key[-20:] in row.subject for row in IncidentCount.objects.all())


def test_a_guessed_key_is_counted_by_address(owner):
    client_address.set("192.0.2.7")
    with pytest.raises(DomainError):
        cache.load(key_format.generate("test"))
    flush(INCIDENTS)
    assert incident_totals.totals(UNKNOWN_KEY, HOUR) == {"192.0.2.7": 1}


def test_unexpected_errors_are_counted_by_route(client, monkeypatch):
    def fail(request):
        raise RuntimeError

    client.raise_request_exception = False
    monkeypatch.setattr("contextmcp.common.metrics.permits", fail)
    assert client.get("/metrics").status_code == 500
    flush(INCIDENTS)
    assert incident_totals.totals(SERVER_ERROR, HOUR) == {"metrics": 1}


def test_old_counts_are_purged():
    IncidentCount.objects.create(kind="x", subject="", minute=now() - timedelta(days=8), count=1)
    IncidentCount.objects.create(kind="x", subject="", minute=now(), count=1)
    incident_totals.purge()
    assert IncidentCount.objects.count() == 1


def test_the_address_is_the_one_that_the_trusted_proxy_saw(settings):
    settings.TRUSTED_PROXIES = 1
    assert forwarded_address("203.0.113.9, 192.0.2.1") == "192.0.2.1"
    settings.TRUSTED_PROXIES = 0
    assert forwarded_address("203.0.113.9") is None
