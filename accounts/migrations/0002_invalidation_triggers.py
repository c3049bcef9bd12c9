"""Triggers that write the invalidation log on every change of access, and that require an organization to keep an owner."""

from django.db import migrations

FORWARD = """
-- Rows do not become visible in the order of their IDs. The writer's transaction ID shows which rows may still be
-- uncommitted (see accounts.invalidation).
ALTER TABLE accounts_invalidationentry ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX accounts_invalidationentry_xid ON accounts_invalidationentry (xid);

CREATE FUNCTION accounts_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_invalidationentry (organization_id, key_id, kind) VALUES (OLD.organization_id, OLD.id, 'key');
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_key_changed AFTER UPDATE OF revoked_at, expires_at, scopes, creator_id ON accounts_apikey
    FOR EACH ROW WHEN ((OLD.revoked_at, OLD.expires_at, OLD.scopes, OLD.creator_id)
                       IS DISTINCT FROM (NEW.revoked_at, NEW.expires_at, NEW.scopes, NEW.creator_id))
    EXECUTE FUNCTION accounts_key_changed();
CREATE TRIGGER accounts_key_deleted AFTER DELETE ON accounts_apikey
    FOR EACH ROW EXECUTE FUNCTION accounts_key_changed();

CREATE FUNCTION accounts_service_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_invalidationentry (key_id, kind) VALUES (OLD.id, 'service_key');
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_service_key_changed AFTER UPDATE OF revoked_at, expires_at, scopes ON accounts_servicekey
    FOR EACH ROW WHEN ((OLD.revoked_at, OLD.expires_at, OLD.scopes) IS DISTINCT FROM (NEW.revoked_at, NEW.expires_at, NEW.scopes))
    EXECUTE FUNCTION accounts_service_key_changed();
CREATE TRIGGER accounts_service_key_deleted AFTER DELETE ON accounts_servicekey
    FOR EACH ROW EXECUTE FUNCTION accounts_service_key_changed();

CREATE FUNCTION accounts_member_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_invalidationentry (organization_id, kind) VALUES (OLD.organization_id, 'member');
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_member_changed AFTER UPDATE OF role ON accounts_membership
    FOR EACH ROW WHEN (OLD.role IS DISTINCT FROM NEW.role) EXECUTE FUNCTION accounts_member_changed();
CREATE TRIGGER accounts_member_deleted AFTER DELETE ON accounts_membership
    FOR EACH ROW EXECUTE FUNCTION accounts_member_changed();

CREATE FUNCTION accounts_organization_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_invalidationentry (organization_id, kind) VALUES (OLD.id, 'organization');
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_organization_changed AFTER UPDATE OF closed_at, clock_offset ON accounts_organization
    FOR EACH ROW WHEN ((OLD.closed_at, OLD.clock_offset) IS DISTINCT FROM (NEW.closed_at, NEW.clock_offset))
    EXECUTE FUNCTION accounts_organization_changed();

CREATE FUNCTION accounts_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_invalidationentry (organization_id, kind)
        SELECT organization_id, 'member' FROM accounts_membership WHERE user_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_user_changed AFTER UPDATE OF is_active ON accounts_user
    FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active) EXECUTE FUNCTION accounts_user_changed();

CREATE FUNCTION accounts_require_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The lock serializes two owners who leave at the same time.
    PERFORM 1 FROM accounts_organization WHERE id = OLD.organization_id AND closed_at IS NULL FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (
        SELECT 1 FROM accounts_membership WHERE organization_id = OLD.organization_id AND role = 'owner'
    ) THEN
        RAISE EXCEPTION 'An organization always has an owner.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'organization_owner_required';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER accounts_require_owner AFTER UPDATE OR DELETE ON accounts_membership
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION accounts_require_owner();
"""
BACKWARD = """
DROP TRIGGER accounts_require_owner ON accounts_membership;
DROP TRIGGER accounts_user_changed ON accounts_user;
DROP TRIGGER accounts_organization_changed ON accounts_organization;
DROP TRIGGER accounts_member_deleted ON accounts_membership;
DROP TRIGGER accounts_member_changed ON accounts_membership;
DROP TRIGGER accounts_service_key_deleted ON accounts_servicekey;
DROP TRIGGER accounts_service_key_changed ON accounts_servicekey;
DROP FUNCTION accounts_service_key_changed;
DROP TRIGGER accounts_key_deleted ON accounts_apikey;
DROP TRIGGER accounts_key_changed ON accounts_apikey;
DROP FUNCTION accounts_require_owner, accounts_user_changed, accounts_organization_changed, accounts_member_changed, accounts_key_changed;
ALTER TABLE accounts_invalidationentry DROP COLUMN xid;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
