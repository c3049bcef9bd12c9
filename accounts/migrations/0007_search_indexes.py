"""The index of the words of an organization's name."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_list_indexes'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='organization',
            index=GinIndex(SearchVector('name', config='simple'), name='organization_by_words'),
        ),
    ]
