"""Run long tests: `python -m tests.soak [RUN ...]`. They print their metrics. The exit code is 1 if one misses its bound."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from contextmcp.devstack.services import default_home
from contextmcp.devstack.supervisor import Stopped, stop_on_signals
from tests.soak import prepare, runs
from tests.soak.metrics import Figures
from tests.soak.options import Options, say


def main(words: list[str]) -> int:
    arguments = _parse(words)
    if arguments.list:
        for name in runs.NAMES:
            print(f"{name:<12} {runs.purpose(name)}")
        return 0
    options = Options(
        seed=arguments.seed,
        scale=arguments.scale,
        logs=default_home() / "soak",
        organizations=arguments.organizations,
        size=arguments.size,
    )
    stop_on_signals()
    results: dict[str, Figures] = {}
    try:
        prepare.begin()
        for name in runs.NAMES:
            if name in (arguments.runs or runs.NAMES):
                results[name] = _run(name, options)
                _save(arguments.output, options, results)
    except Stopped as stopped:
        say(f"Stopped: {stopped}")
        return stopped.code
    if options.scale < 1:
        say("These runs were smaller than required, so they prove less.")
    missed = [name for name, figures in results.items() if not figures.met]
    print(f"Missed: {', '.join(missed)}" if missed else "All that was promised holds.")
    return 1 if missed else 0


def _run(name: str, options: Options) -> Figures:
    say(f"{name}: {runs.purpose(name)}")
    start = time.monotonic()
    try:
        figures: Figures = runs.load(name)(options)
    except Exception:
        figures = Figures()
        figures.none("errors of the run", [traceback.format_exc()])
    figures.add("seconds", time.monotonic() - start)
    print(_text(name, figures), flush=True)
    return figures


def _text(name: str, figures: Figures) -> str:
    width = max(len(figure.what) for figure in figures.figures)
    lines = [name]
    for figure in figures.figures:
        mark = {True: "ok", False: "MISSED", None: ""}[figure.met]
        lines.append(f"  {figure.what:<{width}}  {figure.value:>14}  {figure.bound:<18} {mark}".rstrip())
    return "\n".join([*lines, *(f"    {line}" for line in figures.details)])


def _save(output: Path, options: Options, results: dict[str, Figures]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    document = {name: [asdict(figure) for figure in figures.figures] for name, figures in results.items()}
    output.write_text(json.dumps({"seed": options.seed, "scale": options.scale, "runs": document}, indent=2) + "\n")


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="The long runs.")
    parser.add_argument("runs", nargs="*", metavar="RUN", help="only these (see --list)")
    parser.add_argument("--list", action="store_true", help="what there is to run")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other histories")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each: 0.01 tries a run out")
    parser.add_argument("--organizations", type=int, default=0, help="how many the run `year` has; 1,000 if not said")
    parser.add_argument("--size", type=int, default=0, help="how many events the run `durable` sends; 100,000 if not said")
    parser.add_argument("--output", type=Path, default=default_home() / "soak.json", help="where the figures are written as JSON")
    options = parser.parse_args(words)
    if unknown := set(options.runs) - set(runs.NAMES):
        parser.error(f"there is no run {', '.join(sorted(unknown))}; there are {', '.join(runs.NAMES)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
