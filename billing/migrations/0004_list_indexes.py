"""Indexes of the lists and searches of the admin."""

from django.conf import settings
from django.db import migrations, models


# `upper` as in the SQL of `istartswith`.
FORWARD = """
CREATE INDEX invoice_by_number ON billing_invoice (upper(number) text_pattern_ops);
CREATE INDEX invoice_by_payment ON billing_invoice USING gin (string_to_array(payment_ids, ' '));
"""
BACKWARD = "DROP INDEX invoice_by_number, invoice_by_payment;"


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_list_indexes'),
        ('billing', '0003_work_queue'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='adjustment',
            index=models.Index(fields=['-created_at', '-id'], name='adjustment_newest_first'),
        ),
        migrations.AddIndex(
            model_name='adjustment',
            index=models.Index(condition=models.Q(('stripe_charge_id', ''), _negated=True), fields=['stripe_charge_id'], name='adjustment_by_charge'),
        ),
        migrations.AddIndex(
            model_name='adjustment',
            index=models.Index(condition=models.Q(('stripe_payment_intent_id', ''), _negated=True), fields=['stripe_payment_intent_id'], name='adjustment_by_intent'),
        ),
        migrations.AddIndex(
            model_name='adjustment',
            index=models.Index(condition=models.Q(('stripe_invoice_id', ''), _negated=True), fields=['stripe_invoice_id'], name='adjustment_by_invoice'),
        ),
        migrations.AddIndex(
            model_name='billingaction',
            index=models.Index(fields=['kind', '-id'], name='action_by_kind'),
        ),
        migrations.AddIndex(
            model_name='billingaction',
            index=models.Index(condition=models.Q(('state__in', ['pending', 'waiting', 'failed'])), fields=['-id'], name='action_unfinished'),
        ),
        migrations.AddIndex(
            model_name='billingnotification',
            index=models.Index(fields=['object_id'], name='notification_by_object'),
        ),
        migrations.AddIndex(
            model_name='billingnotification',
            index=models.Index(condition=models.Q(('sent_at', None)), fields=['-id'], name='notification_unsent'),
        ),
        migrations.AddIndex(
            model_name='drift',
            index=models.Index(fields=['subject'], name='drift_by_subject'),
        ),
        migrations.AddIndex(
            model_name='invoice',
            index=models.Index(fields=['-created_at', '-id'], name='invoice_newest_first'),
        ),
        migrations.AddIndex(
            model_name='meterreport',
            index=models.Index(condition=models.Q(('repair', True)), fields=['-id'], name='meter_report_repairs'),
        ),
        migrations.AddIndex(
            model_name='webhookevent',
            index=models.Index(fields=['subject'], name='inbox_by_subject'),
        ),
        migrations.AddIndex(
            model_name='webhookevent',
            index=models.Index(fields=['type', '-id'], name='inbox_by_type'),
        ),
        migrations.AddIndex(
            model_name='webhookevent',
            index=models.Index(condition=models.Q(('source', 'reconciliation')), fields=['-id'], name='inbox_reconciled'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
