"""Alerts to the operator, which all apps may open, and their delivery. The priority of work items grows with its number."""

import contextmcp.common.ids
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_impersonation'),
    ]

    operations = [
        migrations.RunSQL("UPDATE accounts_workitem SET priority = 4 - priority", "UPDATE accounts_workitem SET priority = 4 - priority"),
        migrations.CreateModel(
            name='AlertDelivery',
            fields=[
                ('id', models.UUIDField(default=contextmcp.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('channel', models.CharField(choices=[('webhook', 'Webhook'), ('slack', 'Slack')], max_length=8)),
                ('event', models.CharField(help_text='opened, repeated, resolved or test.', max_length=10)),
                ('body', models.TextField(help_text='Request body, exactly as it is sent.')),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('delivered', 'Delivered'), ('failed', 'Failed')], default='pending', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('last_status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=100)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name_plural': 'alert deliveries',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='OperatorAlert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(help_text='Error code that customers received, or the kind of problem that was detected.', max_length=60)),
                ('subject', models.CharField(blank=True, help_text='The object that has the problem. Empty if it concerns the service.', max_length=128)),
                ('message', models.TextField(help_text='Details of the latest occurrence.')),
                ('occurrences', models.PositiveIntegerField(default=1)),
                ('first_seen_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('last_seen_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('notified_at', models.DateTimeField(blank=True, help_text='When the operator was last notified that the alert is open.', null=True)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-last_seen_at', '-id'],
                'permissions': [('resolve_operatoralert', 'Can mark operator alerts as resolved'), ('test_operatoralert', 'Can send test alerts')],
            },
        ),
        migrations.AlterModelOptions(
            name='workitem',
            options={'ordering': ['-priority', '-last_seen_at', '-id'], 'permissions': [('handle_workitem', 'Can assign, snooze and close work items')]},
        ),
        migrations.RemoveIndex(
            model_name='workitem',
            name='work_item_open',
        ),
        migrations.AlterField(
            model_name='workitem',
            name='priority',
            field=models.PositiveSmallIntegerField(choices=[(1, 'Normal'), (2, 'High'), (3, 'Urgent')], default=1),
        ),
        migrations.AddIndex(
            model_name='workitem',
            index=models.Index(fields=['-priority', '-last_seen_at', '-id'], name='work_item_by_priority'),
        ),
        migrations.AddField(
            model_name='operatoralert',
            name='organization',
            field=models.ForeignKey(blank=True, help_text='Organization affected by the latest occurrence.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='accounts.organization'),
        ),
        migrations.AddField(
            model_name='alertdelivery',
            name='alert',
            field=models.ForeignKey(blank=True, help_text='Empty for a test.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='accounts.operatoralert'),
        ),
        migrations.AddIndex(
            model_name='operatoralert',
            index=models.Index(fields=['-last_seen_at', '-id'], name='operator_alert_newest'),
        ),
        migrations.AddIndex(
            model_name='operatoralert',
            index=models.Index(condition=models.Q(('resolved_at', None)), fields=['code'], name='operator_alert_open'),
        ),
        migrations.AddConstraint(
            model_name='operatoralert',
            constraint=models.UniqueConstraint(fields=('code', 'subject'), name='operator_alert_unique'),
        ),
        migrations.AddIndex(
            model_name='alertdelivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['next_attempt_at'], name='alert_delivery_due'),
        ),
    ]
