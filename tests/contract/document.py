"""The product's OpenAPI document and its operations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    definition: Any

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def body(self) -> Any:
        """Return the media object of the JSON body, or None if there is none."""
        return self.definition.get("requestBody", {}).get("content", {}).get("application/json")

    @property
    def example(self) -> Any:
        """Return the first example of the body."""
        return next(iter(self.body["examples"].values()))["value"] if self.body and "examples" in self.body else None

    @property
    def is_open(self) -> bool:
        """Return whether the operation needs no authentication."""
        return not self.definition.get("security")

    @property
    def takes_keys(self) -> bool:
        return any("apiKey" in way for way in self.definition.get("security", ()))


@cache
def document() -> dict[str, Any]:
    GENERATOR_STATS.reset()
    generated = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return dict(json.loads(json.dumps(generated, default=str)))


def generator_warnings() -> list[str]:
    """Return the generator's warnings about the document."""
    document()
    return [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]


def operations() -> list[Operation]:
    matches = [
        Operation(definition["operationId"], method.upper(), path, definition)
        for path, methods in document()["paths"].items()
        for method, definition in methods.items()
    ]
    assert len({each.name for each in matches}) == len(matches)
    return matches
