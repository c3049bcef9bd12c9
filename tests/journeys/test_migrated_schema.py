"""A database that was only migrated, as in every deployment."""

import psycopg
from django.apps import apps

from tests.support.stacks import Running


def test_every_model_has_its_table(world: Running):
    """Django's test databases differ: they also contain tables that no migration creates."""

    with psycopg.connect(world.world.environment["DATABASE_URL"]) as connection:
        there = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()}
    expected = {model._meta.db_table for model in apps.get_models(include_auto_created=True) if model._meta.managed}
    assert expected - there == set()
