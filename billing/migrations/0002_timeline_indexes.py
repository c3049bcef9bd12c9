"""Indexes that list the payments, adjustments and failed actions of an organization, newest first."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_oauth'),
        ('billing', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='adjustment',
            index=models.Index(fields=['organization', '-created_at'], name='adjustment_by_organization'),
        ),
        migrations.AddIndex(
            model_name='billingaction',
            index=models.Index(condition=models.Q(('state', 'failed')), fields=['organization', '-created_at'], name='action_failed'),
        ),
        migrations.AddIndex(
            model_name='invoice',
            index=models.Index(condition=models.Q(('paid_at__isnull', False)), fields=['organization', '-paid_at'], name='invoice_paid'),
        ),
        migrations.AddIndex(
            model_name='invoice',
            index=models.Index(condition=models.Q(('failed_at__isnull', False)), fields=['organization', '-failed_at'], name='invoice_failed'),
        ),
    ]
