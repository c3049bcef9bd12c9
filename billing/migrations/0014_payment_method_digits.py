from django.db import migrations


class Migration(migrations.Migration):
    """Index the last digits of the payment methods in the mirror, whose tables belong to dj-stripe."""

    dependencies = [
        ("billing", "0013_discarded_events"),
        ("djstripe", "0001_squashed_0003_2_11"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX billing_payment_method_digits ON djstripe_paymentmethod"
            " (((stripe_data -> (stripe_data ->> 'type')) ->> 'last4'))",
            "DROP INDEX billing_payment_method_digits",
        ),
    ]
