"""Find the operation of the document that matches a request, and the function that handles it."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stripe_simulator.errors import Refusal
from stripe_simulator.routes import spec
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit

Handler = Callable[[Unit, Params], Obj]
HANDLERS: dict[tuple[str, str], Handler] = {}


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Register the handler of `method path`, where the path is written as in the document."""

    def register(handler: Handler) -> Handler:
        HANDLERS[method.lower(), path] = handler
        return handler

    return register


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    operation: dict[str, Any]
    arguments: dict[str, str]
    handler: Handler | None


@functools.cache
def _table() -> list[tuple[re.Pattern[str], str]]:
    paths = sorted(spec.document()["paths"], key=lambda path: (path.count("{"), path))
    return [(re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$"), path) for path in paths]


def preload() -> None:
    """Load the document in advance, so that the first request does not wait for it."""
    _table()


@functools.lru_cache(maxsize=4096)
def _find(path: str) -> tuple[str, dict[str, str]] | None:
    for pattern, template in _table():
        if matched := pattern.match(path):
            return template, matched.groupdict()
    return None


def match(method: str, path: str) -> Operation:
    located = _find(path.rstrip("/"))
    operation = located and spec.document()["paths"][located[0]].get(method.lower())
    if located is None or not operation:
        message = f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing slash."
        raise Refusal(message, status=404, unsaved=True)
    template, arguments = located
    return Operation(method.lower(), template, operation, arguments, HANDLERS.get((method.lower(), template)))
