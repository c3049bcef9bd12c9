"""The OpenAPI document as the product tells it, and its operations one by one."""

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
    told: Any

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def body(self) -> Any:
        """The media object of the JSON body, or None where none is read."""
        return self.told.get("requestBody", {}).get("content", {}).get("application/json")

    @property
    def example(self) -> Any:
        """The first body that the document shows."""
        return next(iter(self.body["examples"].values()))["value"] if self.body and "examples" in self.body else None

    @property
    def is_open(self) -> bool:
        """Whether it asks nobody who they are."""
        return not self.told.get("security")

    @property
    def takes_keys(self) -> bool:
        return any("apiKey" in way for way in self.told.get("security", ()))


@cache
def document() -> dict[str, Any]:
    GENERATOR_STATS.reset()
    generated = SchemaGenerator().get_schema(request=None, public=True)
    return dict(json.loads(json.dumps(generated, default=str)))


def complaints() -> list[str]:
    """What the generator said while it wrote the document."""
    document()
    return [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]


def operations() -> list[Operation]:
    found = [
        Operation(told["operationId"], method.upper(), path, told)
        for path, methods in document()["paths"].items()
        for method, told in methods.items()
    ]
    assert len({each.name for each in found}) == len(found)
    return found
