"""Indexes of the lists and searches of the admin."""

import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('common', '0004_work_queue'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='outgoingemail',
            index=models.Index(fields=['category', '-id'], name='email_by_category'),
        ),
        migrations.AddIndex(
            model_name='outgoingemail',
            index=models.Index(condition=models.Q(('reference', ''), _negated=True), fields=['reference'], name='email_by_reference'),
        ),
        migrations.AddIndex(
            model_name='outgoingemail',
            index=django.contrib.postgres.indexes.GinIndex(fields=['recipients'], name='email_by_recipient'),
        ),
    ]
