from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0016_setup_dismissed"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="expiry_email_at",
            field=models.DateTimeField(editable=False, help_text="When its creator was reminded that it expires.", null=True),
        ),
        migrations.AddIndex(
            model_name="apikey",
            index=models.Index(
                condition=Q(("expiry_email_at", None), ("revoked_at", None)), fields=["expires_at"], name="key_expiring"
            ),
        ),
    ]
