"""Move operator alerts to accounts, so that all apps may open them."""

from django.db import migrations


COPY = """
INSERT INTO accounts_operatoralert
    (code, subject, message, organization_id, occurrences, first_seen_at, last_seen_at, notified_at, resolved_at)
SELECT code, '', message, organization_id, occurrences, first_seen_at, last_seen_at, emailed_at, resolved_at FROM billing_operatoralert;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0009_operator_alerts'),
        ('billing', '0009_unpaid_invoices'),
    ]

    operations = [
        migrations.RunSQL(COPY, migrations.RunSQL.noop),
        migrations.DeleteModel(
            name='OperatorAlert',
        ),
    ]
