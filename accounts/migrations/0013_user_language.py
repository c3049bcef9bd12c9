from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0012_share_views'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='language',
            field=models.CharField(blank=True, db_default='', default='', help_text="A language of settings.LANGUAGES. Empty: the browser's language.", max_length=16),
        ),
        migrations.AddField(
            model_name='user',
            name='time_zone',
            field=models.CharField(blank=True, db_default='', default='', help_text='An IANA time zone, such as Europe/Berlin. Empty: UTC.', max_length=64),
        ),
    ]
