"""Triggers that keep plan versions, grants and overrides append-only, and that write the invalidation log on every change."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION entitlements_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Rows of % cannot be changed or deleted.', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER entitlements_planversion_immutable BEFORE UPDATE OR DELETE ON entitlements_planversion
    FOR EACH ROW EXECUTE FUNCTION entitlements_refuse_change();
CREATE TRIGGER entitlements_grant_no_delete BEFORE DELETE ON entitlements_grant
    FOR EACH ROW EXECUTE FUNCTION entitlements_refuse_change();
CREATE TRIGGER entitlements_grant_immutable BEFORE UPDATE ON entitlements_grant FOR EACH ROW
    WHEN ((OLD.organization_id, OLD.plan_version_id, OLD.source, OLD.reference, OLD.starts_at, OLD.created_at)
          IS DISTINCT FROM (NEW.organization_id, NEW.plan_version_id, NEW.source, NEW.reference, NEW.starts_at, NEW.created_at))
    EXECUTE FUNCTION entitlements_refuse_change();
CREATE TRIGGER entitlements_override_no_delete BEFORE DELETE ON entitlements_override
    FOR EACH ROW EXECUTE FUNCTION entitlements_refuse_change();
CREATE TRIGGER entitlements_override_immutable BEFORE UPDATE ON entitlements_override FOR EACH ROW
    WHEN ((OLD.organization_id, OLD.feature, OLD.value, OLD.ends_at, OLD.created_at)
          IS DISTINCT FROM (NEW.organization_id, NEW.feature, NEW.value, NEW.ends_at, NEW.created_at))
    EXECUTE FUNCTION entitlements_refuse_change();

CREATE FUNCTION entitlements_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_invalidationentry (organization_id, kind) VALUES (NEW.organization_id, 'entitlements');
    RETURN NULL;
END $$;
CREATE TRIGGER entitlements_grant_changed AFTER INSERT OR UPDATE ON entitlements_grant
    FOR EACH ROW EXECUTE FUNCTION entitlements_changed();
CREATE TRIGGER entitlements_override_changed AFTER INSERT OR UPDATE ON entitlements_override
    FOR EACH ROW EXECUTE FUNCTION entitlements_changed();

CREATE FUNCTION entitlements_catalog_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_invalidationentry (organization_id, kind) VALUES (NULL, 'entitlements');
    RETURN NULL;
END $$;
CREATE TRIGGER entitlements_catalog_changed AFTER INSERT ON entitlements_planversion
    FOR EACH STATEMENT EXECUTE FUNCTION entitlements_catalog_changed();
"""
BACKWARD = """
DROP TRIGGER entitlements_catalog_changed ON entitlements_planversion;
DROP TRIGGER entitlements_override_changed ON entitlements_override;
DROP TRIGGER entitlements_grant_changed ON entitlements_grant;
DROP TRIGGER entitlements_override_immutable ON entitlements_override;
DROP TRIGGER entitlements_override_no_delete ON entitlements_override;
DROP TRIGGER entitlements_grant_immutable ON entitlements_grant;
DROP TRIGGER entitlements_grant_no_delete ON entitlements_grant;
DROP TRIGGER entitlements_planversion_immutable ON entitlements_planversion;
DROP FUNCTION entitlements_catalog_changed, entitlements_changed, entitlements_refuse_change;
"""


class Migration(migrations.Migration):
    dependencies = [("entitlements", "0001_initial"), ("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
