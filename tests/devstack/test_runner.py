"""`run` and `demo` with real servers and processes. Only the product is replaced, by a server of static files."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from contextmcp.devstack import databases, ports, services
from contextmcp.devstack.stack import World
from tests.devstack.conftest import Python, belonging_to

pytestmark = [pytest.mark.chaos, pytest.mark.usefixtures("data")]
STAND_IN = """
import os, sys
from contextmcp.devstack import __main__, databases, runner, stack
from contextmcp.devstack.runner import PYTHON, Definition
stack.WEB_PORT, stack.STRIPE_PORT, stack.MAIL_PORT, stack.SMTP_PORT = 27000, 27100, 27200, 27300
os.environ["STRIPE"] = "off"
PREPARED = f"import time; print({runner.PREPARED!r}, flush=True); time.sleep(60)"
runner.PREPARE = (PYTHON, "-c", PREPARED, os.environ["CONTEXTMCP_HOME"])
runner.product = lambda world: [
    Definition("web", (PYTHON, "-m", "http.server", "--bind", "127.0.0.1", "--directory", world.home, str(world.port)), world.port),
]
runner.tour = lambda supervisor, world, once: supervisor.run("tour", (PYTHON, "-c", TOUR), world.environment) == 0 and bool(world.save())
databases.template = lambda url, env: None
TOUR = os.environ.get("TOUR", "print('walked')")
sys.exit(__main__.main())
"""


def start(python: Python, *arguments: str, **options: object) -> subprocess.Popen[str]:
    return python("-c", STAND_IN, *arguments, stderr=subprocess.STDOUT, **options)


def until_serving(runner: subprocess.Popen[str]) -> str:
    assert runner.stdout
    output = ""
    for line in runner.stdout:
        output += line
        if "Ctrl-C stops everything" in line:
            return output
    raise AssertionError(output)


def until_gone(home: Path, timeout: float = 10) -> None:
    until = time.monotonic() + timeout
    while belonging_to(home) and time.monotonic() < until:
        time.sleep(0.05)
    assert belonging_to(home) == []


def test_a_demo_serves_until_it_is_stopped(home: Path, python: Python) -> None:
    runner = start(python, "demo")
    output = until_serving(runner)
    assert output.index("Serving on http://localhost:27") < output.index("walked") < output.index("Ctrl-C")
    world = World.load(home / "world.json")
    assert world.environment["DATABASE_URL"].startswith("postgresql://contextmcp@/contextmcp_demo_")
    for url in (world.url, world.mail_url):
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.status == 200
    runner.send_signal(signal.SIGINT)
    assert runner.wait(20) == 0
    assert belonging_to(home) == []
    assert all(ports.is_free(port) for port in (world.port, world.mail_port, world.smtp_port))


@pytest.mark.parametrize(("walk", "code"), [("", 0), ("raise SystemExit(1)", 1), ("import os; os.abort()", 1)])
def test_once_returns_the_result_of_the_tour(home: Path, python: Python, monkeypatch: pytest.MonkeyPatch, walk: str, code: int) -> None:
    monkeypatch.setenv("TOUR", walk or "pass")
    assert start(python, "demo", "--once").wait(30) == code
    assert belonging_to(home) == []


def test_a_demo_needs_the_mcp_server_that_is_named(home: Path, python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    with ports.claims() as claims:
        url = f"http://127.0.0.1:{claims.first_free(27400)}/mcp"
    monkeypatch.setenv("MCP_UPSTREAM", url)
    output, _ = start(python, "demo", "--once").communicate(timeout=60)
    assert f"MCP_UPSTREAM: no server responds at {url}" in output and "Traceback" not in output
    assert belonging_to(home) == []


def test_an_interrupted_tour_is_a_failure(home: Path, python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUR", "import time; print('walking', flush=True); time.sleep(60)")
    runner = start(python, "demo", "--once")
    assert runner.stdout and any(line == "walking\n" for line in runner.stdout)
    runner.terminate()
    assert runner.wait(20) == 128 + signal.SIGTERM
    assert belonging_to(home) == []


def test_a_second_runner_of_one_home_is_refused(home: Path, python: Python) -> None:
    first = start(python, "run")
    until_serving(first)
    second = start(python, "demo")
    assert second.wait(20) == 1
    assert second.stdout and f"already runs here (process {first.pid})" in second.stdout.read()
    assert first.poll() is None
    assert start(python, "stop").wait(20) == 0
    assert first.wait(20) == 0
    assert belonging_to(home) == []


def test_two_homes_can_serve_at_the_same_time(home: Path, python: Python) -> None:
    one = start(python, "demo")
    until_serving(one)
    other = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.environ['CONTEXTMCP_HOME'] = {str(home / 'other')!r}\n{STAND_IN}", "demo"],
        stdout=subprocess.PIPE,
        text=True,
    )
    until_serving(other)
    addresses = {World.load(folder / "world.json").url for folder in (home, home / "other")}
    assert len(addresses) == 2
    for process in (one, other):
        process.terminate()
        assert process.wait(20) == 0
    other.stdout.close()
    assert belonging_to(home) == []


def test_all_processes_stop_when_the_worker_ends(home: Path, python: Python) -> None:
    runner = start(python, "demo")
    until_serving(runner)
    (worker,) = [process for process in belonging_to(home) if any("time.sleep(60)" in word for word in process.cmdline()[2:3])]
    worker.kill()
    assert runner.wait(20) == 1
    assert runner.stdout and "worker ended with -9" in runner.stdout.read()
    assert belonging_to(home) == []


def test_a_runner_starts_after_another_was_killed(home: Path, python: Python) -> None:
    runner = start(python, "run")
    until_serving(runner)
    runner.kill()
    until_gone(home)
    again = start(python, "run")
    until_serving(again)
    again.terminate()
    assert again.wait(20) == 0


def test_the_runner_can_end_with_its_parent(home: Path, python: Python) -> None:
    shell = python("-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], 'run', '--with-parent'])", STAND_IN)
    until_serving(shell)
    shell.kill()
    until_gone(home)


def test_a_configured_server_gets_a_separate_demo_database(home: Path, python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    with services.running(home / "other") as theirs:
        monkeypatch.setenv("DATABASE_URL", databases.create(theirs.database_url, "theirs"))
        monkeypatch.setenv("REDIS_URL", theirs.redis_url)
        runner = start(python, "demo")
        until_serving(runner)
        world = World.load(home / "world.json")
        assert world.environment["DATABASE_URL"] != theirs.database_url
        name = world.environment["DATABASE_URL"].split("/")[3].split("?")[0]
        assert databases.exists(theirs.database_url, name)
        runner.terminate()
        assert runner.wait(20) == 0
        assert databases.exists(theirs.database_url, "theirs")
        assert not databases.exists(theirs.database_url, name)
