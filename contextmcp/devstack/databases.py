"""Create databases quickly: migrate a template once, then copy it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from contextmcp.devstack import processes

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATES = "contextmcp_template_"
APPS = ("accounts", "entitlements", "usage", "billing", "contextmcp")


class MigrationFailed(Exception):
    """Return the output of `manage.py migrate`. Raises CalledProcessError if it fails."""


def named(url: str, database: str) -> str:
    """Return the URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()


def connect(url: str) -> psycopg.Connection[tuple[str]]:
    """Connect to the server's maintenance database, not to one that may have to be dropped."""
    try:
        return psycopg.connect(named(url, "postgres"), autocommit=True)
    except psycopg.OperationalError:
        return psycopg.connect(url, autocommit=True)


def exists(url: str, database: str) -> bool:
    with connect(url) as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is not None


def create(url: str, database: str, template: str | None = None) -> str:
    """Create a database, empty or as a copy of `template`, and return its URL."""
    command = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
    if template:
        command += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
    with connect(url) as connection:
        connection.execute(command)
    return named(url, database)


def drop(url: str, database: str) -> None:
    with connect(url) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def template(url: str, env: Mapping[str, str]) -> str:
    """Return the name of a migrated database to copy. It is created if the migrations have changed."""
    name = TEMPLATES + fingerprint(env["DJANGO_SETTINGS_MODULE"])
    with connect(url) as connection:
        # A concurrent call waits for the lock and then finds the template.
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [TEMPLATES])
        existing = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [TEMPLATES]).fetchall()
        if (name,) not in existing:
            for (old,) in existing:
                with suppress(psycopg.Error):
                    connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(old)))
            unfinished = f"{name}_new"
            migrate({**env, "DATABASE_URL": create(url, unfinished)})
            identifiers = {"old": sql.Identifier(unfinished), "new": sql.Identifier(name)}
            connection.execute(sql.SQL("ALTER DATABASE {old} RENAME TO {new}").format(**identifiers))
            # An open session in a template prevents copying it.
            connection.execute(sql.SQL("ALTER DATABASE {new} ALLOW_CONNECTIONS false").format(**identifiers))
    return name


def migrate(env: Mapping[str, str]) -> None:
    command = [sys.executable, str(REPOSITORY / "manage.py"), "migrate", "--no-input"]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        preexec_fn=processes.die_with_parent,
    )
    if done.returncode:
        raise MigrationFailed(done.stdout)


def fingerprint(settings: str) -> str:
    """Return a digest of our migrations, the settings and the locked versions, because packages contain migrations too."""
    digest = hashlib.sha256(settings.encode())
    files = [path for app in APPS for path in (REPOSITORY / app).rglob("*migrations/*.py")]
    files += (REPOSITORY / "contextmcp" / "settings").glob("*.py")
    for path in [*sorted(files), REPOSITORY / "requirements" / "product.txt"]:
        digest.update(str(path.relative_to(REPOSITORY)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def forget_keys(url: str, prefix: str) -> None:
    """Delete the keys of one run from a cache that is shared with others."""
    import redis  # noqa: PLC0415 - takes as long as all other imports of a start together, and is rarely needed

    with suppress(redis.RedisError), redis.Redis.from_url(url, socket_timeout=5) as client:
        keys = list(client.scan_iter(match=f"*{prefix}*", count=1000))
        for start in range(0, len(keys), 1000):
            client.unlink(*keys[start : start + 1000])
