"""The database keeps evidence append-only: the audit log, usage events and meter reports."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from accounts import audit
from accounts.models import AuditEvent
from billing.models import MeterReport
from contextmcp.common.clock import now
from usage.models import UsageEvent
from usage.store import partitions
from usage.tracker import UsageTracker

TABLES = {
    "accounts_auditevent": ["UPDATE {} SET action = 'forged'", "UPDATE {} SET actor_user_id = NULL", "DELETE FROM {}", "TRUNCATE {}"],
    "usage_events": ["UPDATE {} SET amount = amount + 1", "DELETE FROM {}", "TRUNCATE {}"],
    "partition": ["UPDATE {} SET amount = amount + 1", "DELETE FROM {}", "TRUNCATE {}"],
    "billing_meterreport": [
        "UPDATE {} SET units = 1",
        "UPDATE {} SET timestamp = now()",
        "UPDATE {} SET state = 'pending' WHERE state = 'sent'",
        "DELETE FROM {}",
        "TRUNCATE {}",
    ],
}
REFUSED = [(table, statement) for table, statements in TABLES.items() for statement in statements]


def report(organization, number=1, **fields):
    return MeterReport.objects.create(
        organization=organization,
        feature="sessions",
        stripe_customer_id="cus_1",
        period_start=now(),
        sequence=number,
        units=7,
        identifier=f"report-{number}",
        timestamp=now(),
        **fields,
    )


@pytest.fixture
def rows(owner):
    """Create a row in each table and enable the triggers against TRUNCATE as in production. Tests disable them so that Django can flush."""
    organization = owner.organization
    audit.record("key.revoked", organization=organization, actor=owner.user)
    UsageTracker(organization).consume("sessions", 1)
    report(organization, state="sent")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE '%\\_no\\_truncate'")
        triggers = cursor.fetchall()
        assert len(triggers) == len(partitions.existing()) + 3
        for table, trigger in triggers:
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
    return organization


def table_of(name):
    return partitions.name(partitions.ahead(now())[0]) if name == "partition" else name


@pytest.mark.parametrize(("table", "statement"), REFUSED)
def test_the_tables_owner_cannot_alter_them(rows, table, statement):
    with connection.cursor() as cursor:
        for setting in ("origin", "replica"):
            cursor.execute("SELECT set_config('session_replication_role', %s, true)", [setting])
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                cursor.execute(statement.format(table_of(table)))
        cursor.execute("SELECT set_config('session_replication_role', 'origin', true)")
    assert AuditEvent.objects.filter(action="key.revoked").count() == 1
    assert UsageEvent.objects.get().amount == 1
    assert MeterReport.objects.get().units == 7


def test_a_later_partition_is_protected(rows):
    later = partitions.following(partitions.ahead(now())[-1])
    with connection.cursor() as cursor:
        cursor.execute(partitions.create_statement(later))
        cursor.execute("SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = %s::regclass ORDER BY tgname", [partitions.name(later)])
        # "A": the trigger also fires if session_replication_role is replica.
        assert [(name, bytes(enabled).decode() if not isinstance(enabled, str) else enabled) for name, enabled in cursor.fetchall()] == [
            ("usage_events_append_only", "A"),
            ("usage_events_no_truncate", "A"),
        ]


def test_a_report_can_be_marked_as_sent_or_given_up(rows):
    waiting = report(rows, 2)
    rows_of_it = MeterReport.objects.filter(pk=waiting.pk)
    rows_of_it.update(attempts=1, first_sent_at=now(), error="Stripe does not answer")
    rows_of_it.update(state="sent", sent_at=now(), error="")
    assert rows_of_it.get().state == "sent"


def test_the_applications_role_works_and_cannot_alter_them(rows, owner):
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE contextmcp_test_app")
        out = StringIO()
        call_command("database_role", "contextmcp_test_app", "--apply", stdout=out)
        assert 'TO "contextmcp_test_app";' in out.getvalue()
        cursor.execute("SET LOCAL ROLE contextmcp_test_app")
        audit.record("key.rotated", organization=rows, actor=owner.user)
        UsageTracker(rows).consume("sessions", 1)
        report(rows, 2)
        MeterReport.objects.filter(sequence=2).update(state="sent", sent_at=now(), attempts=1, error="", first_sent_at=now())
        with transaction.atomic():
            rows.members.get().memberships.update(role="owner")
        denied = [statement.format(table_of(table)) for table, statement in REFUSED if "SET state" not in statement]
        denied += ["DELETE FROM django_migrations", "ALTER TABLE accounts_auditevent DISABLE TRIGGER ALL", "DROP TABLE usage_events"]
        for statement in denied:
            with pytest.raises(DatabaseError, match=r"permission denied|must be owner"), transaction.atomic():
                cursor.execute(statement)
        cursor.execute("RESET ROLE")
    assert (UsageEvent.objects.count(), MeterReport.objects.filter(state="sent").count()) == (2, 2)
