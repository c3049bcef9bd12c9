

import contextmcp.common.ids
import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_invalidation_triggers'),
        ('usage', '0002_partitions'),
    ]

    operations = [
        migrations.CreateModel(
            name='AlertCheckpoint',
            fields=[
                ('pk', models.CompositePrimaryKey('organization_id', 'feature', 'period_start', blank=True, editable=False, primary_key=True, serialize=False)),
                ('feature', models.TextField()),
                ('period_start', models.DateTimeField()),
                ('evaluated_amount', models.BigIntegerField()),
                ('hour', models.DateTimeField(help_text='Start of the hour that `baseline` and `spike_threshold` apply to.', null=True)),
                ('baseline', models.FloatField(null=True)),
                ('spike_threshold', models.FloatField(help_text='A higher amount in that hour is a spike. Empty: too few hours of history.', null=True)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.organization')),
            ],
            options={
                'verbose_name_plural': 'alert checkpoints',
                'db_table': 'usage_alert_checkpoints',
            },
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(default=contextmcp.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('url', models.URLField(max_length=2048)),
                ('description', models.CharField(blank=True, max_length=200)),
                ('event_types', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), help_text='Event types that are sent to this endpoint.', size=None)),
                ('enabled', models.BooleanField(default=True)),
                ('disabled_reason', models.CharField(blank=True, max_length=100)),
                ('secret', models.BinaryField(help_text='Encrypted.')),
                ('previous_secret', models.BinaryField(help_text='Encrypted.', null=True)),
                ('previous_secret_expires_at', models.DateTimeField(blank=True, null=True)),
                ('failing_since', models.DateTimeField(blank=True, help_text='Time of the first failed attempt since the last success.', null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='webhook_endpoints', to='accounts.organization')),
            ],
            options={
                'db_table': 'usage_webhook_endpoints',
                'ordering': ['-created_at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='UsageAlert',
            fields=[
                ('id', models.UUIDField(default=contextmcp.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('feature', models.CharField(max_length=64)),
                ('period_start', models.DateTimeField()),
                ('period_end', models.DateTimeField()),
                ('kind', models.CharField(choices=[('threshold_50', '50% used'), ('threshold_80', '80% used'), ('threshold_100', '100% used'), ('spike', 'Spike')], max_length=16)),
                ('used', models.BigIntegerField(help_text='Units used in the period or in use; for a spike, units used in its hour.')),
                ('included', models.BigIntegerField(blank=True, help_text='Units that the plan included when the threshold was reached.', null=True)),
                ('baseline', models.FloatField(blank=True, help_text='For a spike: mean of the hours that it was compared with.', null=True)),
                ('hour', models.DateTimeField(blank=True, help_text='For a spike: start of its hour.', null=True)),
                ('occurred_at', models.DateTimeField(help_text='When the alert occurred. For organizations with a Stripe test clock, in test-clock time.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='usage_alerts', to='accounts.organization')),
            ],
            options={
                'db_table': 'usage_alerts',
                'ordering': ['-created_at', '-id'],
                'constraints': [models.UniqueConstraint(fields=('organization', 'feature', 'period_start', 'kind'), name='usage_alert_unique')],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.UUIDField(default=contextmcp.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('event_type', models.CharField(max_length=64)),
                ('body', models.TextField(help_text='Request body, exactly as it is signed and sent.')),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('delivered', 'Delivered'), ('failed', 'Failed')], default='pending', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('claimed_until', models.DateTimeField(blank=True, help_text="When the sending worker's lease expires.", null=True)),
                ('last_status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=32)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='usage.webhookendpoint')),
            ],
            options={
                'verbose_name_plural': 'webhook deliveries',
                'db_table': 'usage_webhook_deliveries',
                'ordering': ['-created_at', '-id'],
                'indexes': [models.Index(condition=models.Q(('state', 'pending')), fields=['next_attempt_at'], name='webhook_delivery_due'), models.Index(fields=['endpoint', '-created_at'], name='webhook_delivery_by_endpoint')],
            },
        ),
        # Finds the counters of current periods among 13 months of rows. It is written once per period, not when a count changes.
        migrations.RunSQL(
            "CREATE INDEX usage_counters_by_end ON usage_counters (period_end)",
            "DROP INDEX usage_counters_by_end",
        ),
        migrations.RunSQL("ALTER TABLE usage_alert_checkpoints SET (fillfactor = 50)", migrations.RunSQL.noop),
    ]
