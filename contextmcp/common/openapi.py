"""What every operation of the OpenAPI document shares: the problem response and the Idempotency-Key header."""

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_spectacular.utils import OpenApiParameter

from . import api

PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "examples": ["quota_exceeded"]},
        "detail": {"type": "string"},
    },
    "additionalProperties": True,
}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    OpenApiParameter.HEADER,
    description="Makes a repeated request answer as the first one did (1 to 255 printable ASCII characters).",
)


def undescribed() -> list[type]:
    """Classes whose docstrings are about the code, not about the API."""
    return [*get_lib_doc_excludes(), api.Schema]  # type: ignore[no-untyped-call]


def closed_bodies(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook: request bodies say that a field they do not name is refused, and that they must be there."""
    for name, component in result.get("components", {}).get("schemas", {}).items():
        if name.endswith("Request") and component.get("type") == "object":
            component.setdefault("additionalProperties", False)
    for operation in (each for methods in result["paths"].values() for each in methods.values()):
        media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
        # Of a choice between bodies the generator cannot tell that one of them has to be there.
        if "oneOf" in result["components"]["schemas"].get(name, ()):
            operation["requestBody"]["required"] = True
    return result


class Schema(AutoSchema):
    """drf-spectacular's, with a `default` problem response everywhere and `Idempotency-Key` on every POST of a view that takes it.

    A docstring's first sentence is the summary, unless `extend_schema` gives another; what follows is the description.
    """

    def get_summary(self) -> str | None:
        return super().get_summary() or super().get_description().partition(". ")[0].removesuffix(".")

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular asks without path and method
        whole = super().get_description()
        first, _, rest = whole.partition(". ")
        return rest if self.get_summary() == first.removesuffix(".") else whole

    def get_override_parameters(self) -> list[Any]:
        return [IDEMPOTENCY_KEY] if self.method == "POST" and getattr(self.view, "idempotent", False) else []

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        bodies.setdefault(
            "default",
            {"description": "A refusal (RFC 9457).", "content": {"application/problem+json": {"schema": PROBLEM}}},
        )
        return bodies
