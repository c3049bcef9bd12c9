"""The command line: `python -m tests.bench [MEASURE ...]`. See `--help`."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from contextmcp.devstack.services import default_home
from contextmcp.devstack.supervisor import Stopped, stop_on_signals
from tests.bench import table
from tests.bench.compare import QUICK, Options, Row, say
from tests.bench.load import UnexpectedAnswer
from tests.bench.measures import modules
from tests.bench.servers import world
from tests.bench.sites import Bench


def main(words: list[str]) -> int:
    known = modules()
    arguments = parse(words, list(known))
    if arguments.list:
        for name, module in known.items():
            print(f"{name:<10} {(module.__doc__ or '').splitlines()[0]}")
        return 0
    options = chosen(arguments)
    output = arguments.output or default_home() / "bench.json"
    started, rows, failed = datetime.now(UTC), list[Row](), list[str]()
    stop_on_signals()
    try:
        with world(default_home() / "bench", options.web_workers) as created:
            bench = Bench(created, options)
            for name in known:
                if name in (arguments.measures or known):
                    since = time.monotonic()
                    try:
                        rows += known[name].measure(bench)
                    except (UnexpectedAnswer, RuntimeError) as error:
                        say(f"{name} could not be measured: {error}")
                        failed.append(name)
                    table.save(output, rows, options, started)
                    say(f"{name} took {time.monotonic() - since:.0f} s")
    except Stopped as stopped:
        say(f"Stopped: {stopped}")
        return stopped.code
    print(table.text(rows))
    print(f"\nWritten to {output}")
    if failed:
        print(f"Could not be measured: {', '.join(failed)}")
    return 1 if failed else 0


def chosen(arguments: argparse.Namespace) -> Options:
    options = QUICK if arguments.quick else Options()
    params = {name: getattr(arguments, name) for name in ("rounds", "seconds", "events", "keys", "connections", "gate_workers")}
    return replace(options, **{name: value for name, value in params.items() if value is not None})


def parse(words: list[str], known: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Ratios to baselines, measured in the same run.")
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help="only these (see --list)")
    parser.add_argument("--list", action="store_true", help="what there is to measure")
    parser.add_argument("--quick", action="store_true", help="everything once, in less than a minute; its figures mean nothing")
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--seconds", type=float, help="how long a sample takes")
    parser.add_argument("--events", type=int, help="how many are there before `growth`, `batches` and `reading` begin")
    parser.add_argument("--keys", type=int, help="how many API keys there are")
    parser.add_argument("--connections", type=lambda text: tuple(map(int, text.split(","))), help="concurrencies, such as 1,16,64")
    parser.add_argument("--gate-workers", type=int, help="how many workers the gate has")
    parser.add_argument("--output", type=Path, help="where the table is written as JSON; by default bench.json in the local home")
    result = parser.parse_args(words)
    if unknown := set(result.measures) - set(known):
        parser.error(f"there is no measure {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
