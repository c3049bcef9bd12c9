"""What the database itself promises: every change that ends or alters a right is announced, and an organization keeps an owner."""

from django.db import migrations

FORWARD = """
-- Rows become visible in another order than they are numbered. With the writer's transaction id a poller can tell
-- which rows may still be to come (see accounts.revocations).
ALTER TABLE accounts_revocation ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX accounts_revocation_xid ON accounts_revocation (xid);

CREATE FUNCTION accounts_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_revocation (organization_id, key_id, kind) VALUES (OLD.organization_id, OLD.id, 'key');
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
    INSERT INTO accounts_revocation (key_id, kind) VALUES (OLD.id, 'service_key');
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_service_key_changed AFTER UPDATE OF revoked_at, expires_at, scopes ON accounts_servicekey
    FOR EACH ROW WHEN ((OLD.revoked_at, OLD.expires_at, OLD.scopes) IS DISTINCT FROM (NEW.revoked_at, NEW.expires_at, NEW.scopes))
    EXECUTE FUNCTION accounts_service_key_changed();
CREATE TRIGGER accounts_service_key_deleted AFTER DELETE ON accounts_servicekey
    FOR EACH ROW EXECUTE FUNCTION accounts_service_key_changed();

CREATE FUNCTION accounts_member_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_revocation (organization_id, kind) VALUES (OLD.organization_id, 'member');
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_member_changed AFTER UPDATE OF role ON accounts_membership
    FOR EACH ROW WHEN (OLD.role IS DISTINCT FROM NEW.role) EXECUTE FUNCTION accounts_member_changed();
CREATE TRIGGER accounts_member_deleted AFTER DELETE ON accounts_membership
    FOR EACH ROW EXECUTE FUNCTION accounts_member_changed();

CREATE FUNCTION accounts_organization_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_revocation (organization_id, kind) VALUES (OLD.id, 'organization');
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_organization_changed AFTER UPDATE OF closed_at, clock_offset ON accounts_organization
    FOR EACH ROW WHEN ((OLD.closed_at, OLD.clock_offset) IS DISTINCT FROM (NEW.closed_at, NEW.clock_offset))
    EXECUTE FUNCTION accounts_organization_changed();

CREATE FUNCTION accounts_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_revocation (organization_id, kind)
        SELECT organization_id, 'member' FROM accounts_membership WHERE user_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_user_changed AFTER UPDATE OF is_active ON accounts_user
    FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active) EXECUTE FUNCTION accounts_user_changed();

CREATE FUNCTION accounts_owner_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The lock makes two owners who leave at the same moment wait for each other.
    PERFORM 1 FROM accounts_organization WHERE id = OLD.organization_id AND closed_at IS NULL FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (
        SELECT 1 FROM accounts_membership WHERE organization_id = OLD.organization_id AND role = 'owner'
    ) THEN
        RAISE EXCEPTION 'An organization always has an owner.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'organization_has_an_owner';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER accounts_owner_stays AFTER UPDATE OR DELETE ON accounts_membership
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION accounts_owner_stays();
"""
BACKWARD = """
DROP TRIGGER accounts_owner_stays ON accounts_membership;
DROP TRIGGER accounts_user_changed ON accounts_user;
DROP TRIGGER accounts_organization_changed ON accounts_organization;
DROP TRIGGER accounts_member_deleted ON accounts_membership;
DROP TRIGGER accounts_member_changed ON accounts_membership;
DROP TRIGGER accounts_service_key_deleted ON accounts_servicekey;
DROP TRIGGER accounts_service_key_changed ON accounts_servicekey;
DROP FUNCTION accounts_service_key_changed;
DROP TRIGGER accounts_key_deleted ON accounts_apikey;
DROP TRIGGER accounts_key_changed ON accounts_apikey;
DROP FUNCTION accounts_owner_stays, accounts_user_changed, accounts_organization_changed, accounts_member_changed, accounts_key_changed;
ALTER TABLE accounts_revocation DROP COLUMN xid;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
