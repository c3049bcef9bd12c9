import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('usage', '0009_staff_actions'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(help_text='When the result was known.')),
                ('status', models.PositiveSmallIntegerField(null=True)),
                ('error', models.CharField(blank=True, max_length=32)),
                ('milliseconds', models.PositiveIntegerField(help_text='Time until the response. Empty if nothing was sent.', null=True)),
                ('delivery', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='attempt_log', to='usage.webhookdelivery')),
            ],
            options={
                'db_table': 'usage_webhook_attempts',
                'ordering': ['id'],
                'indexes': [models.Index(fields=['delivery', 'id'], name='webhook_attempt_by_delivery')],
            },
        ),
    ]
