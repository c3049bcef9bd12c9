"""Indexes that list the alerts of an organization, newest first."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_oauth'),
        ('usage', '0004_tools'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='usagealert',
            index=models.Index(fields=['organization', '-created_at'], name='usage_alert_by_organization'),
        ),
    ]
