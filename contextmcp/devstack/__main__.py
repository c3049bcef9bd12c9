"""Command line of the development stack: `python -m contextmcp.devstack run | demo [--once] | stop | clean | status`."""

from __future__ import annotations

import argparse
import fcntl
import importlib
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from contextmcp.devstack import processes, runner, services
from contextmcp.devstack.databases import MigrationFailed
from contextmcp.devstack.ports import NoPort
from contextmcp.devstack.services import ServiceError
from contextmcp.devstack.stack import World
from contextmcp.devstack.supervisor import Stopped, stop_on_signals


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m contextmcp.devstack", description="Run the product on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    with_parent = argparse.ArgumentParser(add_help=False)
    with_parent.add_argument("--with-parent", action="store_true", help="stop when the parent process ends")
    commands.add_parser("run", parents=[with_parent], help="run a development server with a persistent database")
    demo = commands.add_parser("demo", parents=[with_parent], help="run the tour with a new database, then keep serving")
    demo.add_argument("--once", action="store_true", help="stop after the tour; exit 1 if a step failed")
    commands.add_parser("stop", help="stop all processes of this home directory")
    commands.add_parser("clean", help="stop all processes and delete all data")
    commands.add_parser("status", help="show the running processes")
    tour = commands.add_parser("tour", help="run the tour against a running stack")
    tour.add_argument("world", type=Path)
    tour.add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    home = services.default_home()
    try:
        match arguments.command:
            case "run" | "demo":
                stop_on_signals()
                if arguments.with_parent:
                    processes.die_with_parent()
                return runner.run(home) if arguments.command == "run" else runner.demo(home, once=arguments.once)
            case "stop":
                stop(home)
            case "clean":
                stop(home)
                for each in (home, home / "test"):
                    # When running as root, the data may lie outside the home directory.
                    services.Postgres(each).remove()
                shutil.rmtree(home, ignore_errors=True)
            case "status":
                status(home)
            case "tour":
                main = importlib.import_module("contextmcp.devstack.tour").main
                return 0 if main(World.load(arguments.world), arguments.once) else 1
    except Stopped as reason:
        print(f"\n{reason}", file=sys.stderr)
        # A signal is the normal way to end `run` and `demo`, but an error for `demo --once`, which it interrupts.
        expected = reason.code in {128 + signal.SIGINT, 128 + signal.SIGTERM} and not getattr(arguments, "once", False)
        return 0 if expected else reason.code
    except (ServiceError, NoPort, MigrationFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def stop(home: Path) -> None:
    """Stop the runner, if any, as Ctrl-C does. Then stop all other servers of this home, including those of tests."""
    pid = runner_pid(home)
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 60
        while runner_pid(home) and time.monotonic() < until:
            time.sleep(0.05)
    for each in (home, home / "test"):
        services.stop(each)


def runner_pid(home: Path) -> int | None:
    """Return the process ID that holds the runner's lock, or None if it has ended, whatever the file contains."""
    try:
        with (home / "runner.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read())
    except (OSError, ValueError):
        pass
    return None


def status(home: Path) -> None:
    pid = runner_pid(home)
    print(f"runner    {pid or 'not running'}")
    for each in (home, home / "test"):
        for name, server in (("postgres", services.Postgres(each)), ("valkey", services.Valkey(each))):
            process: psutil.Process | None = server.process
            print(f"{name:<9} {process.pid if process else 'not running'}  ({each})")


if __name__ == "__main__":
    sys.exit(main())
