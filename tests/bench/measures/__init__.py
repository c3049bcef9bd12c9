"""The measures. Each module has a function `measure(bench) -> list[Row]`. `--list` prints its docstring."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from tests.bench.compare import Row
from tests.bench.sites import Bench

Measure = Callable[[Bench], list[Row]]
# The order of the table. What needs the many events comes last.
NAMES = (
    "machine",
    "checking",
    "gate",
    "gateway",
    "servers",
    "valkey",
    "limits",
    "refusals",
    "single",
    "webhooks",
    "cold",
    "keys",
    "batches",
    "reading",
    "growth",
)


def modules() -> dict[str, ModuleType]:
    return {name: import_module(f"{__name__}.{name}") for name in NAMES}
