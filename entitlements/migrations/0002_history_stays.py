"""What was published or granted stays, and every change is announced, whoever makes it and however."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION entitlements_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is history: it can be neither changed nor deleted.', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER entitlements_version_stays BEFORE UPDATE OR DELETE ON entitlements_planversion
    FOR EACH ROW EXECUTE FUNCTION entitlements_refuse();
CREATE TRIGGER entitlements_grant_stays BEFORE DELETE ON entitlements_grant
    FOR EACH ROW EXECUTE FUNCTION entitlements_refuse();
CREATE TRIGGER entitlements_grant_says_the_same BEFORE UPDATE ON entitlements_grant FOR EACH ROW
    WHEN ((OLD.organization_id, OLD.plan_version_id, OLD.source, OLD.reference, OLD.starts_at, OLD.created_at)
          IS DISTINCT FROM (NEW.organization_id, NEW.plan_version_id, NEW.source, NEW.reference, NEW.starts_at, NEW.created_at))
    EXECUTE FUNCTION entitlements_refuse();
CREATE TRIGGER entitlements_override_stays BEFORE DELETE ON entitlements_override
    FOR EACH ROW EXECUTE FUNCTION entitlements_refuse();
CREATE TRIGGER entitlements_override_says_the_same BEFORE UPDATE ON entitlements_override FOR EACH ROW
    WHEN ((OLD.organization_id, OLD.feature, OLD.value, OLD.until, OLD.created_at)
          IS DISTINCT FROM (NEW.organization_id, NEW.feature, NEW.value, NEW.until, NEW.created_at))
    EXECUTE FUNCTION entitlements_refuse();

CREATE FUNCTION entitlements_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_revocation (organization_id, kind) VALUES (NEW.organization_id, 'entitlements');
    RETURN NULL;
END $$;
CREATE TRIGGER entitlements_grant_changed AFTER INSERT OR UPDATE ON entitlements_grant
    FOR EACH ROW EXECUTE FUNCTION entitlements_changed();
CREATE TRIGGER entitlements_override_changed AFTER INSERT OR UPDATE ON entitlements_override
    FOR EACH ROW EXECUTE FUNCTION entitlements_changed();

CREATE FUNCTION entitlements_catalogue_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_revocation (organization_id, kind) VALUES (NULL, 'entitlements');
    RETURN NULL;
END $$;
CREATE TRIGGER entitlements_catalogue_changed AFTER INSERT ON entitlements_planversion
    FOR EACH STATEMENT EXECUTE FUNCTION entitlements_catalogue_changed();
"""
BACKWARD = """
DROP TRIGGER entitlements_catalogue_changed ON entitlements_planversion;
DROP TRIGGER entitlements_override_changed ON entitlements_override;
DROP TRIGGER entitlements_grant_changed ON entitlements_grant;
DROP TRIGGER entitlements_override_says_the_same ON entitlements_override;
DROP TRIGGER entitlements_override_stays ON entitlements_override;
DROP TRIGGER entitlements_grant_says_the_same ON entitlements_grant;
DROP TRIGGER entitlements_grant_stays ON entitlements_grant;
DROP TRIGGER entitlements_version_stays ON entitlements_planversion;
DROP FUNCTION entitlements_catalogue_changed, entitlements_changed, entitlements_refuse;
"""


class Migration(migrations.Migration):
    dependencies = [("entitlements", "0001_initial"), ("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
