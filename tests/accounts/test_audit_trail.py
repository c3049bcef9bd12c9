"""The audit trail is append-only, in the database itself."""

import pytest
from django.db import DatabaseError, connection, transaction

from accounts import audit
from accounts.models import AuditEvent

GRANTS = """
CREATE ROLE audit_test_app;
GRANT USAGE ON SCHEMA public TO audit_test_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO audit_test_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO audit_test_app;
REVOKE UPDATE, DELETE, TRUNCATE ON accounts_auditevent FROM audit_test_app;
"""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditevent SET action = 'forged'",
        "UPDATE accounts_auditevent SET actor_user_id = NULL",
        "DELETE FROM accounts_auditevent",
        "TRUNCATE accounts_auditevent",
    ],
)
def test_events_cannot_be_altered_even_by_the_tables_owner(owner, statement):
    audit.record("key.revoked", organization=owner.organization, actor=owner.user)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        # Only so that Django can flush between tests is this one off there.
        cursor.execute("ALTER TABLE accounts_auditevent ENABLE ALWAYS TRIGGER accounts_audit_keeps_table")
        for setting in ("origin", "replica"):
            cursor.execute("SELECT set_config('session_replication_role', %s, true)", [setting])
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                cursor.execute(statement)
        cursor.execute("SELECT set_config('session_replication_role', 'origin', true)")
    assert AuditEvent.objects.get(action="key.revoked").actor_user == owner.user


def test_the_applications_role_can_add_events_and_nothing_else(owner):
    audit.record("key.revoked", organization=owner.organization, actor=owner.user)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(GRANTS)
        cursor.execute("SET LOCAL ROLE audit_test_app")
        audit.record("key.rotated", organization=owner.organization, actor=owner.user)
        for statement in (
            "UPDATE accounts_auditevent SET action = 'forged'",
            "DELETE FROM accounts_auditevent",
            "TRUNCATE accounts_auditevent",
            "ALTER TABLE accounts_auditevent DISABLE TRIGGER ALL",
            "DROP TABLE accounts_auditevent",
        ):
            with pytest.raises(DatabaseError, match=r"permission denied|must be owner"), transaction.atomic():
                cursor.execute(statement)
        cursor.execute("RESET ROLE")
    assert AuditEvent.objects.filter(action__in=["key.revoked", "key.rotated"]).count() == 2
