"""Connected apps and their tokens, and the triggers that write the invalidation log when one of them ends."""

import contextmcp.common.ids
import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION accounts_oauth_grant_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Without a membership there is no row: deleting it has written an entry of its own.
    INSERT INTO accounts_invalidationentry (organization_id, key_id, kind)
        SELECT organization_id, OLD.id, 'oauth' FROM accounts_membership WHERE id = OLD.membership_id;
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_oauth_grant_changed AFTER UPDATE OF revoked_at, scopes, resources, membership_id ON accounts_oauthgrant
    FOR EACH ROW WHEN ((OLD.revoked_at, OLD.scopes, OLD.resources, OLD.membership_id)
                       IS DISTINCT FROM (NEW.revoked_at, NEW.scopes, NEW.resources, NEW.membership_id))
    EXECUTE FUNCTION accounts_oauth_grant_changed();
CREATE TRIGGER accounts_oauth_grant_deleted AFTER DELETE ON accounts_oauthgrant
    FOR EACH ROW EXECUTE FUNCTION accounts_oauth_grant_changed();

CREATE FUNCTION accounts_oauth_token_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_invalidationentry (organization_id, key_id, kind)
        SELECT member.organization_id, issued.id, 'oauth'
        FROM accounts_oauthgrant AS issued JOIN accounts_membership AS member ON member.id = issued.membership_id
        WHERE issued.id = OLD.grant_id AND OLD.expires_at > now();
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_oauth_token_deleted AFTER DELETE ON accounts_oauthtoken
    FOR EACH ROW WHEN (OLD.kind = 'access') EXECUTE FUNCTION accounts_oauth_token_deleted();
"""
BACKWARD = """
DROP TRIGGER accounts_oauth_token_deleted ON accounts_oauthtoken;
DROP TRIGGER accounts_oauth_grant_deleted ON accounts_oauthgrant;
DROP TRIGGER accounts_oauth_grant_changed ON accounts_oauthgrant;
DROP FUNCTION accounts_oauth_token_deleted, accounts_oauth_grant_changed;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_audit_append_only'),
    ]

    operations = [
        migrations.CreateModel(
            name='OAuthGrant',
            fields=[
                ('id', models.UUIDField(default=contextmcp.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('client_id', models.CharField(db_index=True, max_length=100)),
                ('client_name', models.CharField(max_length=100)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), default=list, size=None)),
                ('resources', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=500), default=list, help_text='Addresses of the MCP servers (RFC 8707).', size=None)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('last_used_at', models.DateTimeField(editable=False, null=True)),
                ('revoked_at', models.DateTimeField(editable=False, null=True)),
                ('code_digest', models.BinaryField(max_length=32, unique=True)),
                ('code_expires_at', models.DateTimeField(editable=False)),
                ('code_challenge', models.CharField(editable=False, max_length=128)),
                ('redirect_uri', models.TextField(editable=False)),
                ('nonce', models.CharField(blank=True, editable=False, max_length=255)),
                ('redeemed_at', models.DateTimeField(editable=False, help_text='When the client exchanged its authorization code.', null=True)),
                ('membership', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='oauth_grants', to='accounts.membership')),
            ],
            options={
                'verbose_name': 'connected app',
                'ordering': ['-created_at', '-id'],
                'permissions': [('revoke_oauthgrant', 'Can disconnect an app')],
            },
        ),
        migrations.CreateModel(
            name='OAuthToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('access', 'Access token'), ('refresh', 'Refresh token')], max_length=7)),
                ('digest', models.BinaryField(max_length=32, unique=True)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), default=list, size=None)),
                ('resources', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=500), default=list, size=None)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('expires_at', models.DateTimeField(db_index=True)),
                ('replaced_at', models.DateTimeField(help_text='When a refresh token was exchanged for the next one.', null=True)),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tokens', to='accounts.oauthgrant')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
