"""The organization that an email concerns, and an index to list its emails."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('common', '0002_sign_in_limits'),
    ]

    operations = [
        migrations.AddField(
            model_name='outgoingemail',
            name='organization_id',
            field=models.UUIDField(blank=True, help_text='ID of the organization that the email concerns, if it concerns one.', null=True),
        ),
        migrations.AddIndex(
            model_name='outgoingemail',
            index=models.Index(condition=models.Q(('organization_id__isnull', False)), fields=['organization_id', '-created_at', '-id'], name='email_by_organization'),
        ),
    ]
