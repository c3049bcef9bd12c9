"""Triggers that make the audit log append-only: events cannot be updated, deleted or truncated."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION accounts_auditevent_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is append-only.' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER accounts_auditevent_append_only BEFORE UPDATE OR DELETE ON accounts_auditevent
    FOR EACH ROW EXECUTE FUNCTION accounts_auditevent_refuse_change();
CREATE TRIGGER accounts_auditevent_no_truncate BEFORE TRUNCATE ON accounts_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_auditevent_refuse_change();
-- ALWAYS: session_replication_role = replica does not skip them. Only the table's owner can disable a trigger.
ALTER TABLE accounts_auditevent ENABLE ALWAYS TRIGGER accounts_auditevent_append_only;
ALTER TABLE accounts_auditevent ENABLE ALWAYS TRIGGER accounts_auditevent_no_truncate;
"""
BACKWARD = """
DROP TRIGGER accounts_auditevent_no_truncate ON accounts_auditevent;
DROP TRIGGER accounts_auditevent_append_only ON accounts_auditevent;
DROP FUNCTION accounts_auditevent_refuse_change;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_invalidation_triggers")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
