"""What every operation of the OpenAPI document shares: the problem response and the Idempotency-Key header."""

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

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
    str,
    OpenApiParameter.HEADER,
    description="Makes a repeated request answer as the first one did (1 to 255 characters).",
)


class Schema(AutoSchema):
    """drf-spectacular's, with a `default` problem response everywhere and `Idempotency-Key` on every POST of a view that takes it."""

    def get_override_parameters(self) -> list[Any]:
        return [IDEMPOTENCY_KEY] if self.method == "POST" and getattr(self.view, "idempotent", False) else []

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        bodies.setdefault(
            "default",
            {"description": "A refusal (RFC 9457).", "content": {"application/problem+json": {"schema": PROBLEM}}},
        )
        return bodies
