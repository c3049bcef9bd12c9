from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0015_data_exports'),
    ]

    operations = [
        migrations.AddField(
            model_name='membership',
            name='setup_dismissed_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When the member hid the list of steps to set up the organization.', null=True),
        ),
    ]
