"""The totals of a plan count subscriptions, because those of several days can be counted together."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_operator_alerts")]
    operations = [migrations.RenameField("revenueplanday", "organizations", "subscriptions")]
