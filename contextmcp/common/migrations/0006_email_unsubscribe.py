from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('common', '0005_list_indexes'),
    ]

    operations = [
        migrations.AddField(
            model_name='outgoingemail',
            name='unsubscribe',
            field=models.TextField(blank=True, db_default='', default='', help_text='The header List-Unsubscribe.'),
        ),
    ]
