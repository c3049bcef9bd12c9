"""The results, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.compare import Options, Row

COLUMNS = (
    ("ratio", 9),
    ("rounds", 13),
    ("by cpu", 6),
    ("target", 8),
    ("stretch", 8),
    ("", 6),
    ("/s", 9),
    ("p50 ms", 7),
    ("p99 ms", 7),
    ("cpu us", 7),
    ("behind", 7),
)


def text(rows: Sequence[Row]) -> str:
    """Return one line per ratio, under one heading per measure."""
    width = max((len(_subject(row)) for row in rows), default=10)
    lines = [" " * width + "".join(f"  {name:>{room}}" for name, room in COLUMNS)]
    measure = ""
    for row in rows:
        if row.measure != measure:
            measure = row.measure
            lines += ["", measure]
        figures = row.figures
        spread = f"{_number(row.spread[0])}..{_number(row.spread[1])}"
        cells = [
            _number(row.value) + " " + row.unit,
            spread,
            _by_cpu(row),
            _bound(row, row.target),
            _bound(row, row.stretch),
            _verdict(row),
        ]
        cells += [f"{figures['rate']:,.0f}", *(_number(figures[name]) for name in ("p50_ms", "p99_ms", "cpu_us", "behind_us"))]
        lines.append(f"{_subject(row):<{width}}" + "".join(f"  {cell:>{room}}" for cell, (_, room) in zip(cells, COLUMNS, strict=True)))
    checked = [row for row in rows if row.met is not None]
    lines += ["", f"{sum(bool(row.met) for row in checked)} of {len(checked)} targets met."]
    return "\n".join(lines)


def _by_cpu(row: Row) -> str:
    """Return the same ratio by CPU time of servers, Postgres and Valkey, which hardly changes when others use the machine too."""
    ours, theirs = row.figures["cpu_us"], row.figures.get("against_cpu_us", 0)
    return _number(theirs / ours) if ours and theirs and not row.at_most else ""


def _subject(row: Row) -> str:
    return f"  {row.what}" + (f" : {row.against}" if row.against else "")


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _bound(row: Row, bound: float | None) -> str:
    return "" if bound is None else f"{'<=' if row.at_most else '>='} {_number(bound)}"


def _verdict(row: Row) -> str:
    return "" if row.met is None else "met" if row.met else "MISSED"


def save(path: Path, rows: Sequence[Row], options: Options, started: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "began": started.isoformat(),
        "ended": datetime.now(UTC).isoformat(),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
        "options": asdict(options),
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(result, indent=1))
    fresh.replace(path)
