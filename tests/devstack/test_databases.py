"""Templates of databases, and the dumps by which servers share them."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from contextmcp.devstack import databases
from contextmcp.devstack.services import Services
from tests import plugin_services

pytestmark = pytest.mark.skipif(not plugin_services.has_templates(), reason="a configured server keeps no templates")


@pytest.fixture
def create(services: Services) -> Iterator[Callable[..., str]]:
    """Create a database on the tests' server, and drop it at the end."""
    created: list[str] = []

    def create(template: str | None = None) -> str:
        created.append(f"test_run_{os.getpid()}_{secrets.token_hex(3)}")
        return databases.create(services.database_url, created[-1], template)

    yield create
    for name in created:
        databases.drop(services.database_url, name)


def test_a_dump_restores_the_migrated_database(services: Services, create: Callable[..., str]) -> None:
    template = databases.template(services.database_url, {"DJANGO_SETTINGS_MODULE": plugin_services.SETTINGS})
    migrated = databases.dump(create(template))
    assert "CREATE TRIGGER" in migrated and "INSERT INTO public.django_migrations" in migrated
    restored = create()
    databases.restore(restored, migrated)
    assert comparable(databases.dump(restored)) == comparable(migrated)


def comparable(dump: str) -> list[str]:
    """Return the lines without casts of text and parentheses, which Postgres writes in another way after it has read them."""
    return re.sub(r"::character varying|::text(\[\])?|[()]", "", dump).splitlines()


def test_the_second_server_does_not_migrate(create: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    migrated = []

    def migrate(env: Mapping[str, str]) -> None:
        migrated.append(env["DATABASE_URL"])
        with psycopg.connect(env["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE answers AS SELECT 42 AS answer")

    monkeypatch.setattr(databases, "migrate", migrate)
    monkeypatch.setenv(databases.DUMPS, str(tmp_path / "dumps"))
    urls = [create(), create()]
    for url in urls:
        databases._fill(url, f"{databases.TEMPLATES}x", {})
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT answer FROM answers").fetchall() == [(42,)]
    assert migrated == urls[:1]
    databases._fill(create(), f"{databases.TEMPLATES}y", {})
    assert [path.name for path in (tmp_path / "dumps").glob("*.sql")] == [f"{databases.TEMPLATES}y.sql"]
