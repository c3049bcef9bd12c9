"""Events of the audit trail are appended; nobody updates, deletes or truncates them."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION accounts_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit trail is append-only.' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER accounts_audit_keeps_rows BEFORE UPDATE OR DELETE ON accounts_auditevent
    FOR EACH ROW EXECUTE FUNCTION accounts_audit_refuse();
CREATE TRIGGER accounts_audit_keeps_table BEFORE TRUNCATE ON accounts_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_refuse();
-- ALWAYS: not even session_replication_role = replica skips them. Only the table's owner can disable a trigger.
ALTER TABLE accounts_auditevent ENABLE ALWAYS TRIGGER accounts_audit_keeps_rows;
ALTER TABLE accounts_auditevent ENABLE ALWAYS TRIGGER accounts_audit_keeps_table;
"""
BACKWARD = """
DROP TRIGGER accounts_audit_keeps_table ON accounts_auditevent;
DROP TRIGGER accounts_audit_keeps_rows ON accounts_auditevent;
DROP FUNCTION accounts_audit_refuse;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_revocation_triggers")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
