"""The long runs, by name. Each is a module whose `run(options) -> Figures` does it; its docstring is what `--list` says of it.

To add one, add its module here and its name below.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

NAMES = ("convergence", "workers", "amounts", "burst", "outage", "exact", "durable", "year")


def purpose(name: str) -> str:
    """Read, not imported: a run may need what is not there yet."""
    source = (Path(__file__).parent / f"{name}.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


def load(name: str, function: str = "run") -> Callable[..., Any]:
    """Call it when the servers run and Django is set up (`prepare.begin`)."""
    found: Callable[..., Any] = getattr(import_module(f"{__name__}.{name}"), function)
    return found
