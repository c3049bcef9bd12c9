"""The long runs by name. Each is a module with a function `run(options) -> Metrics`. `--list` prints its docstring.

To add a run, add its module here and its name below.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

NAMES = ("trust", "convergence", "workers", "amounts", "burst", "outage", "exact", "durable", "attack", "gateway", "year", "revenue")


def purpose(name: str) -> str:
    """Read the docstring without importing the module, because the import may need running servers."""
    source = (Path(__file__).parent / f"{name}.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


def load(name: str, function: str = "run") -> Callable[..., Any]:
    """Import the module and run it. The servers must run and Django must be set up (`prepare.begin`)."""
    attribute: Callable[..., Any] = getattr(import_module(f"{__name__}.{name}"), function)
    return attribute
