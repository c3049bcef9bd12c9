"""PgBouncer in front of Postgres: session mode works, transaction mode is refused at the start with one sentence."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from contextmcp.startup import EXIT_STATUS
from tests.support.gates import environment

# Debian installs it in a directory that only root's PATH contains.
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed"),
]
START = "from contextmcp import startup; startup.load_settings('test'); startup.refuse_transaction_pooling()"


@contextmanager
def pgbouncer(mode):
    """Yield the URL of this test's database behind PgBouncer."""
    known = connection.get_connection_params()
    with tempfile.TemporaryDirectory(prefix="pgb", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        behind = " ".join(f"{key}={known[key]}" for key in ("host", "port", "user", "password") if key in known)
        lines = ["[databases]", f"* = {behind}", "[pgbouncer]", "listen_addr =", f"unix_socket_dir = {folder}", "listen_port = 6432"]
        lines += ["auth_type = any", f"pool_mode = {mode}"]
        config = folder / "pgbouncer.ini"
        config.write_text("\n".join(lines))
        # It refuses to run as root.
        as_nobody = ["setpriv", "--reuid", "nobody", "--clear-groups"] if os.geteuid() == 0 else []
        process = subprocess.Popen([*as_nobody, PGBOUNCER, "-q", str(config)], stderr=subprocess.DEVNULL)
        url = f"postgres://{known['user']}@/{known['dbname']}?host={folder}&port=6432"
        try:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                try:
                    psycopg.connect(url).close()
                    break
                except psycopg.OperationalError:
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(10)


def start(url):
    command = [sys.executable, "-c", START]
    return subprocess.run(command, env={**environment(), "DATABASE_URL": url}, capture_output=True, text=True, timeout=120, check=False)


def test_session_mode_is_accepted(transactional_db):
    with pgbouncer("session") as url:
        assert start(url).returncode == 0


def test_transaction_mode_is_refused_with_a_sentence(transactional_db):
    with pgbouncer("transaction") as url:
        done = start(url)
    assert done.returncode == EXIT_STATUS
    assert done.stderr.splitlines()[-1].startswith("DATABASE_URL leads to a connection pooler in transaction mode")
