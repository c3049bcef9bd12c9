"""Indexes of the lists and searches of the admin."""

from django.db import migrations, models


# `upper` as in the SQL of `istartswith`.
FORWARD = """
CREATE INDEX organization_by_name ON accounts_organization (upper(name) text_pattern_ops);
CREATE INDEX organization_by_email ON accounts_organization (upper(email) text_pattern_ops);
CREATE INDEX user_by_name ON accounts_user (upper(name) text_pattern_ops);
"""
BACKWARD = "DROP INDEX organization_by_name, organization_by_email, user_by_name;"


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_work_queue'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='apikey',
            index=models.Index(condition=models.Q(('revoked_at', None), _negated=True), fields=['-id'], name='key_revoked'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['action', '-created_at', '-id'], name='audit_by_action'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['target'], name='audit_by_target', opclasses=['varchar_pattern_ops']),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(condition=models.Q(('request_id', ''), _negated=True), fields=['request_id'], name='audit_by_request'),
        ),
        migrations.AddIndex(
            model_name='invitation',
            index=models.Index(fields=['email'], name='invitation_by_email', opclasses=['varchar_pattern_ops']),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
