"""Indexes of the lists and searches of the admin."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_list_indexes'),
        ('usage', '0007_refusals'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='usagehold',
            index=models.Index(fields=['organization', '-id'], name='usage_hold_by_organization'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('state', 'failed')), fields=['-id'], name='webhook_delivery_failed'),
        ),
    ]
