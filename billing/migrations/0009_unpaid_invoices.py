"""An index that lists the unpaid invoices of an organization, newest first."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_list_indexes'),
        ('billing', '0008_search_indexes'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='invoice',
            index=models.Index(condition=models.Q(('paid_at', None)), fields=['organization', '-created_at'], name='invoice_unpaid'),
        ),
    ]
