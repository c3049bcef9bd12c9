"""Partitions, retention, and rebuilding summaries."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection

from tests.factories.accounts import OrganizationFactory
from tests.support.databases import allow_flush
from usage import tasks
from usage.ingest import event_parsing
from usage.models import IdempotencyKey, UsageEvent, UsageSummary
from usage.store import partitions
from usage.store.rebuild import count_mismatched_summaries
from usage.tracker import UsageTracker

OLD = datetime(2020, 2, 1, tzinfo=UTC)


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def rows_of(month):
    """Return the number of events in a table, attached or not."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {partitions.name(month)}")
        return cursor.fetchone()[0]


@pytest.fixture
def _new_partitions_are_flushed():
    """Disable the triggers against TRUNCATE of a partition that the test created, because the table is flushed after the test."""
    yield
    allow_flush()


@pytest.fixture
def org(db):
    return OrganizationFactory()


def record(organization, *events):
    return UsageTracker(organization).record_events([event_parsing.EventBody(**event) for event in events])


@pytest.mark.usefixtures("transactional_db", "_new_partitions_are_flushed")
def test_partitions_are_created_ahead_and_detached():
    organization = OrganizationFactory()
    present = datetime.now(UTC)
    execute(partitions.create_statement(OLD))
    execute(
        "INSERT INTO usage_events (organization_id, feature, amount, occurred_at, recorded_at, key_id, member_id)"
        f" VALUES ('{organization.pk}', 'sessions', 1, '2020-02-03', '2020-02-03', '{organization.pk}', 0)"
    )
    execute(f"DROP TABLE {partitions.name(partitions.ahead(present)[3])}")
    tasks.maintain_partitions(0)
    there = partitions.existing()
    assert partitions.name(OLD) not in there
    assert there == [partitions.name(month) for month in partitions.ahead(present)]
    assert not UsageEvent.objects.filter(organization=organization).exists()
    assert rows_of(OLD) == 1
    execute(f"DROP TABLE {partitions.name(OLD)}")


@pytest.mark.usefixtures("transactional_db", "_new_partitions_are_flushed")
def test_an_interrupted_detachment_is_completed():
    """A reader blocked the detachment, which was then interrupted."""
    execute(partitions.create_statement(OLD))
    with psycopg.connect(**connection.get_connection_params()) as reader:
        reader.execute("SELECT count(*) FROM usage_events")
        execute("SET statement_timeout = '300ms'")
        with pytest.raises(OperationalError):
            tasks.maintain_partitions(0)
        execute("SET statement_timeout = 0")
    tasks.maintain_partitions(0)
    assert partitions.existing() == [partitions.name(month) for month in partitions.ahead(datetime.now(UTC))]
    assert rows_of(OLD) == 0
    execute(f"DROP TABLE {partitions.name(OLD)}")


@pytest.mark.django_db(transaction=True)
def test_a_manually_detached_partition_is_ignored():
    execute(partitions.create_statement(OLD))
    execute(f"ALTER TABLE usage_events DETACH PARTITION {partitions.name(OLD)}")
    tasks.maintain_partitions(0)
    assert rows_of(OLD) == 0
    execute(f"DROP TABLE {partitions.name(OLD)}")


@pytest.mark.parametrize(
    ("month", "after"), [("2026-01", "2026-02"), ("2026-12", "2027-01"), ("2028-02", "2028-03"), ("2026-10", "2026-11")]
)
def test_following_returns_the_next_month(month, after):
    assert partitions.following(datetime.fromisoformat(f"{month}-01T00:00:00+00:00")) == datetime.fromisoformat(
        f"{after}-01T00:00:00+00:00"
    )


def test_events_are_kept_thirteen_months_and_35_days(db):
    execute(partitions.create_statement(OLD))
    end = datetime(2020, 3, 1, tzinfo=UTC)
    assert partitions.expired(end + partitions.RETENTION - timedelta(seconds=1)) == []
    assert partitions.expired(end + partitions.RETENTION) == [partitions.name(OLD)]
    assert timedelta(days=13 * 31 + 35) <= partitions.RETENTION


def test_old_keys_are_purged_in_batches(org):
    record(org, *({"feature": "sessions", "idempotency_key": f"k{number}"} for number in range(25)))
    IdempotencyKey.objects.filter(organization_id=org.pk).update(recorded_at=datetime.now(UTC) - partitions.RETENTION - timedelta(days=1))
    record(org, {"feature": "sessions", "idempotency_key": "new"})
    assert partitions.purge_keys(datetime.now(UTC), batch=10) == 25
    assert record(org, {"feature": "sessions", "idempotency_key": "new"})[0][0] == "duplicate"
    assert IdempotencyKey.objects.filter(organization_id=org.pk).count() == 1


def test_rebuilt_summaries_are_equal(org):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    other = OrganizationFactory()
    for one in (org, other):
        record(one, {"feature": "sessions", "amount": 3}, {"feature": "sessions", "amount": 4, "occurred_at": yesterday})
        record(one, {"feature": "sessions", "amount": -1, "reason": "a mistake"}, {"feature": "context_queries"})

    def rows():
        return sorted(UsageSummary.objects.values_list("organization_id", "grain", "bucket", "feature", "amount", "events"))

    stored = rows()
    assert len([row for row in stored if row[0] == org.pk]) == 6
    assert count_mismatched_summaries() == 0
    UsageSummary.objects.filter(organization=org, amount=4).update(amount=7)
    assert count_mismatched_summaries() == count_mismatched_summaries(str(org.pk)) == 2
    assert count_mismatched_summaries(str(other.pk)) == 0
    with pytest.raises(SystemExit):
        call_command("rebuild_summaries", check=True, stdout=StringIO())
    output = StringIO()
    call_command("rebuild_summaries", organization=str(org.pk), stdout=output)
    assert output.getvalue() == "Rebuilt 6 summaries; 2 of them differed.\n"
    assert rows() == stored
    call_command("rebuild_summaries", check=True, stdout=StringIO())


def test_holds_expire_by_the_task(org):
    tracker = UsageTracker(org)
    tracker.hold("sessions", 50, seconds=1)
    execute("UPDATE usage_holds SET expires_at = now()")
    tasks.expire_holds(0)
    assert tracker.consume("sessions").used == 1
