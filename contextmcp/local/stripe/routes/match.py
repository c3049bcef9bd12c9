"""Which operation of the document a request means, and which function of ours answers it."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contextmcp.local.stripe.errors import Refusal
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.routes import spec
from contextmcp.local.stripe.unit import Unit

Handler = Callable[[Unit, Params], Obj]
HANDLERS: dict[tuple[str, str], Handler] = {}


def answers(method: str, path: str) -> Callable[[Handler], Handler]:
    """Register the function that answers `method path`, as the document writes the path."""

    def register(handler: Handler) -> Handler:
        HANDLERS[method.lower(), path] = handler
        return handler

    return register


@dataclass(frozen=True)
class Match:
    method: str
    path: str
    operation: dict[str, Any]
    arguments: dict[str, str]
    handler: Handler | None


@functools.cache
def _table() -> list[tuple[re.Pattern[str], str]]:
    paths = sorted(spec.document()["paths"], key=lambda path: (path.count("{"), path))
    return [(re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$"), path) for path in paths]


def prepare() -> None:
    """Read the document now rather than with the first request."""
    _table()


@functools.lru_cache(maxsize=4096)
def _find(path: str) -> tuple[str, dict[str, str]] | None:
    for pattern, template in _table():
        if found := pattern.match(path):
            return template, found.groupdict()
    return None


def match(method: str, path: str) -> Match:
    found = _find(path.rstrip("/"))
    operation = found and spec.document()["paths"][found[0]].get(method.lower())
    if found is None or not operation:
        message = f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing slash."
        raise Refusal(message, status=404, unsaved=True)
    template, arguments = found
    return Match(method.lower(), template, operation, arguments, HANDLERS.get((method.lower(), template)))
