"""Indexes of the lists and searches of the admin."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_list_indexes'),
        ('entitlements', '0003_work_queue'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='grant',
            index=models.Index(condition=models.Q(('reference', ''), _negated=True), fields=['reference'], name='grant_by_reference'),
        ),
    ]
