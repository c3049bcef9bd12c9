"""Partitions, retention, and summaries made anew."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection

from tests.factories.accounts import OrganizationFactory
from usage import ingest, partitions, tasks
from usage.models import EventKey, UsageEvent, UsageSummary
from usage.rebuild import differences
from usage.tracker import UsageTracker

OLD = datetime(2020, 2, 1, tzinfo=UTC)


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def org(db):
    return OrganizationFactory()


def record(organization, *events):
    return UsageTracker(organization).record_events([ingest.EventBody(**event) for event in events])


@pytest.mark.django_db(transaction=True)
def test_partitions_are_made_ahead_and_detached_when_past_retention():
    organization = OrganizationFactory()
    present = datetime.now(UTC)
    execute(partitions.create_statement(OLD))
    execute(
        "INSERT INTO usage_events (organization_id, feature, amount, occurred_at, recorded_at, key_id, member_id)"
        f" VALUES ('{organization.pk}', 'sessions', 1, '2020-02-03', '2020-02-03', '{organization.pk}', 0)"
    )
    execute(f"DROP TABLE {partitions.name(partitions.ahead(present)[3])}")
    tasks.keep_partitions(0)
    there = partitions.existing()
    assert partitions.name(OLD) not in there
    assert there == [partitions.name(month) for month in partitions.ahead(present)]
    assert not UsageEvent.objects.filter(organization=organization).exists()


@pytest.mark.django_db(transaction=True)
def test_a_night_that_was_interrupted_is_made_up_for():
    """A reader was in the way of the detachment, and somebody lost patience; or it ended before the table was dropped."""
    pending, detached = OLD, datetime(2020, 3, 1, tzinfo=UTC)
    for month in (pending, detached):
        execute(partitions.create_statement(month))
    execute(f"ALTER TABLE usage_events DETACH PARTITION {partitions.name(detached)}")
    with psycopg.connect(**connection.get_connection_params()) as reader:
        reader.execute("SELECT count(*) FROM usage_events")
        execute("SET statement_timeout = '300ms'")
        with pytest.raises(OperationalError):
            tasks.keep_partitions(0)
        execute("SET statement_timeout = 0")
    tasks.keep_partitions(0)
    assert partitions.existing() == [partitions.name(month) for month in partitions.ahead(datetime.now(UTC))]
    assert partitions._detached() == []


@pytest.mark.parametrize(
    ("month", "after"), [("2026-01", "2026-02"), ("2026-12", "2027-01"), ("2028-02", "2028-03"), ("2026-10", "2026-11")]
)
def test_a_month_follows_another(month, after):
    assert partitions.following(datetime.fromisoformat(f"{month}-01T00:00:00+00:00")) == datetime.fromisoformat(
        f"{after}-01T00:00:00+00:00"
    )


def test_events_are_kept_thirteen_months_and_the_lateness_they_may_have(db):
    execute(partitions.create_statement(OLD))
    end = datetime(2020, 3, 1, tzinfo=UTC)
    assert partitions.expired(end + partitions.RETENTION - timedelta(seconds=1)) == []
    assert partitions.expired(end + partitions.RETENTION) == [partitions.name(OLD)]
    assert timedelta(days=13 * 31 + 35) <= partitions.RETENTION


def test_old_keys_are_forgotten_in_batches_and_others_kept(org):
    record(org, *({"feature": "sessions", "idempotency_key": f"k{number}"} for number in range(25)))
    EventKey.objects.filter(organization_id=org.pk).update(recorded_at=datetime.now(UTC) - partitions.RETENTION - timedelta(days=1))
    record(org, {"feature": "sessions", "idempotency_key": "new"})
    assert partitions.purge_keys(datetime.now(UTC), batch=10) == 25
    assert record(org, {"feature": "sessions", "idempotency_key": "new"})[0][0] == "duplicate"
    assert EventKey.objects.filter(organization_id=org.pk).count() == 1


def test_summaries_made_anew_are_the_same(org):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    other = OrganizationFactory()
    for one in (org, other):
        record(one, {"feature": "sessions", "amount": 3}, {"feature": "sessions", "amount": 4, "occurred_at": yesterday})
        record(one, {"feature": "sessions", "amount": -1, "reason": "a mistake"}, {"feature": "context_queries"})

    def rows():
        return sorted(UsageSummary.objects.values_list("organization_id", "grain", "bucket", "feature", "amount", "events"))

    kept = rows()
    assert len([row for row in kept if row[0] == org.pk]) == 6
    assert differences() == 0
    UsageSummary.objects.filter(organization=org, amount=4).update(amount=7)
    assert differences() == differences(str(org.pk)) == 2
    assert differences(str(other.pk)) == 0
    with pytest.raises(SystemExit):
        call_command("rebuild_summaries", check=True, stdout=StringIO())
    said = StringIO()
    call_command("rebuild_summaries", organization=str(org.pk), stdout=said)
    assert said.getvalue() == "6 summaries made anew; 2 had differed.\n"
    assert rows() == kept
    call_command("rebuild_summaries", check=True, stdout=StringIO())


def test_holds_expire_by_the_task(org):
    tracker = UsageTracker(org)
    tracker.hold("sessions", 50, seconds=1)
    execute("UPDATE usage_holds SET expires_at = now()")
    tasks.expire_holds(0)
    assert tracker.consume("sessions").used == 1
