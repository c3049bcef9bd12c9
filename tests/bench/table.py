"""The results, for a person and for a program."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.compare import Options, Row


def text(rows: Sequence[Row]) -> str:
    """One line a ratio, under a heading a measure."""
    width = max((len(_subject(row)) for row in rows), default=10)
    columns = ("ratio", 9), ("rounds", 13), ("target", 8), ("stretch", 8), ("", 6), ("/s", 9), ("p50 ms", 7), ("p99 ms", 7), ("cpu us", 7)
    lines = [" " * width + "".join(f"  {name:>{room}}" for name, room in columns)]
    measure = ""
    for row in rows:
        if row.measure != measure:
            measure = row.measure
            lines += ["", measure]
        figures = row.figures
        spread = f"{_number(row.spread[0])}..{_number(row.spread[1])}"
        lines.append(
            f"{_subject(row):<{width}}  {_number(row.value) + ' ' + row.unit:>9}  {spread:>13}  {_bound(row, row.target):>8}  "
            f"{_bound(row, row.stretch):>8}  {_verdict(row):6}  {figures['rate']:>9,.0f}  {figures['p50_ms']:>7.2f}  "
            f"{figures['p99_ms']:>7.2f}  {figures['cpu_us']:>7.1f}"
        )
    judged = [row for row in rows if row.met is not None]
    lines += ["", f"{sum(bool(row.met) for row in judged)} of {len(judged)} targets met."]
    return "\n".join(lines)


def _subject(row: Row) -> str:
    return f"  {row.what}" + (f" : {row.against}" if row.against else "")


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _bound(row: Row, bound: float | None) -> str:
    return "" if bound is None else f"{'<=' if row.at_most else '>='} {_number(bound)}"


def _verdict(row: Row) -> str:
    return "" if row.met is None else "met" if row.met else "MISSED"


def save(path: Path, rows: Sequence[Row], options: Options, began: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "began": began.isoformat(),
        "ended": datetime.now(UTC).isoformat(),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
        "options": asdict(options),
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(told, indent=1))
    fresh.replace(path)
