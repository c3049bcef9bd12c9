"""Supervision with real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contextmcp.devstack.supervisor import Stopped, Supervisor
from tests.devstack.conftest import Python, belonging_to

pytestmark = pytest.mark.chaos
# Every child starts a grandchild, and neither ends on its own. The home in their command lines identifies them.
CHILD = """
import signal, subprocess, sys, time
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", sys.argv[1]])
print("up", flush=True)
time.sleep(float(sys.argv[2]))
sys.exit(7)
"""
PARENT = f"""
import os, sys
from pathlib import Path
from contextmcp.devstack import supervisor
supervisor.STOP_SECONDS = 1.0
supervisor.stop_on_signals()
try:
    with supervisor.Supervisor(Path(sys.argv[1]) / "logs", echo=True) as world:
        for name, seconds, *how in [("one", "60"), ("two", sys.argv[2]), ("three", "60", *sys.argv[3:])]:
            world.start(name, [sys.executable, "-c", {CHILD!r}, sys.argv[1], seconds, *how], os.environ)
        world.serve()
except supervisor.Stopped as reason:
    print(reason, flush=True)
    sys.exit(reason.code)
"""


def until_up(parent: subprocess.Popen[str]) -> None:
    assert parent.stdout
    up = 0
    while up < 3:
        line = parent.stdout.readline()
        assert line, "the supervisor ended early"
        up += line.endswith("| up\n")


def until_gone(home: Path, timeout: float) -> None:
    until = time.monotonic() + timeout
    while belonging_to(home) and time.monotonic() < until:
        time.sleep(0.02)
    assert belonging_to(home) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_processes(home: Path, python: Python, signum: int) -> None:
    parent = python("-c", PARENT, str(home), "60")
    until_up(parent)
    assert len(belonging_to(home)) == 7
    parent.send_signal(signum)
    assert parent.wait(20) == 128 + signum
    assert belonging_to(home) == []


def test_a_second_signal_does_not_interrupt_the_shutdown(home: Path, python: Python) -> None:
    parent = python("-c", PARENT, str(home), "60", "stubborn")
    until_up(parent)
    for _ in range(3):
        parent.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert parent.wait(20) == 128 + signal.SIGINT
    assert belonging_to(home) == []


def test_if_one_process_ends_all_end(home: Path, python: Python) -> None:
    parent = python("-c", PARENT, str(home), "0.5")
    assert parent.wait(20) == 1
    assert parent.stdout and "two ended with 7; stopping everything" in parent.stdout.read()
    assert belonging_to(home) == []


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(home: Path, python: Python) -> None:
    parent = python("-c", PARENT, str(home), "60", "stubborn")
    until_up(parent)
    parent.terminate()
    assert parent.wait(20) == 128 + signal.SIGTERM
    assert belonging_to(home) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_children_do_not_outlive_a_killed_supervisor(home: Path, python: Python) -> None:
    parent = python("-c", PARENT.replace('import time; time.sleep(60)", sys', 'pass", sys'), str(home), "60")
    until_up(parent)
    parent.kill()
    parent.wait()
    until_gone(home, 5)


def test_a_task_is_awaited_and_its_output_shown(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Supervisor(home / "logs", echo=False) as world:
        assert world.run("task", [sys.executable, "-c", "print('walked'); raise SystemExit(3)"], {}) == 3
        world.start("server", [sys.executable, "-c", "print('chatter'); import time; time.sleep(60)"], {})
        world.until(lambda: "chatter" in (home / "logs" / "server.log").read_text(), "the chatter")
    assert capfd.readouterr().out == "walked\n"


def test_long_output_blocks_no_process(home: Path) -> None:
    with Supervisor(home / "logs", echo=False) as world:
        world.start("loud", [sys.executable, "-c", "import sys, time; sys.stdout.write('x' * 5_000_000 + '\\nend\\n'); time.sleep(60)"], {})
        world.until(lambda: (home / "logs" / "loud.log").read_bytes().endswith(b"end\n"), "the end", 20)


def test_waiting_for_a_condition_times_out(home: Path) -> None:
    with Supervisor(home / "logs", echo=False) as world, pytest.raises(Stopped, match="The moon was not ready"):
        world.until(lambda: False, "The moon", 0.2)
