"""Parts of the OpenAPI document that all operations share: error responses and the Idempotency-Key header."""

import re
from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from . import api, errors, problems

PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "URI that identifies the kind of error. It ends with `code`."},
        "title": {"type": "string", "description": "Summary of the kind of error. It is the same for every occurrence."},
        "status": {"type": "integer", "description": "HTTP status of the response."},
        "code": {"type": "string", "examples": ["quota_exceeded"], "description": "Stable code of the reason, for programs."},
        "detail": {"type": "string", "description": "Explanation of this occurrence, for people."},
    },
    "additionalProperties": True,
}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    OpenApiParameter.HEADER,
    description="A repeated request with the same key returns the first response (1 to 255 printable ASCII characters).",
)


# Errors of all operations: malformed requests, an unsupported format, and an overloaded or unavailable service.
ALWAYS: tuple[type[errors.DomainError], ...] = (
    errors.UnreadableRequest,
    errors.UriTooLong,
    errors.ValidationFailed,
    errors.HeadersTooLarge,
    errors.Overloaded,
    errors.TemporarilyUnavailable,
)
WITH_BODY: tuple[type[errors.DomainError], ...] = (errors.RequestTimeout, errors.PayloadTooLarge, errors.UnsupportedMediaType)


def undescribed() -> list[type]:
    """Return the classes whose docstrings are not used as API descriptions."""
    return [*get_lib_doc_excludes(), api.Schema]  # type: ignore[no-untyped-call]


def closed_bodies(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: mark request bodies as required and without additional properties."""
    for name, component in result.get("components", {}).get("schemas", {}).items():
        if name.endswith("Request") and component.get("type") == "object":
            component.setdefault("additionalProperties", False)
    for operation in (each for methods in result["paths"].values() for each in methods.values()):
        media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
        # The generator does not mark a body with alternative schemas as required.
        if "oneOf" in result["components"]["schemas"].get(name, ()):
            operation["requestBody"]["required"] = True
    return result


def problem_schema(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: add the schema of error responses."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    return result


def describe_generated(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: describe what no serializer field declares: the IDs in paths and the results of a page."""
    for name, component in result["components"]["schemas"].items():
        if name.startswith("Paginated"):
            component["properties"]["data"]["description"] = "Results of this page."
    for operation in (each for methods in result["paths"].values() for each in methods.values()):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["name"].endswith("_id"):
                parameter.setdefault("description", f"ID of the {parameter['name'].removesuffix('_id')}.")
    return result


def _split(text: str) -> tuple[str, str]:
    """Return the first sentence of a docstring, without its period, and the rest."""
    first, *rest = re.split(r"\.\s+", text, maxsplit=1)
    return first.removesuffix("."), "".join(rest)


class Schema(AutoSchema):
    """Adds all error statuses and codes, and `Idempotency-Key` for each POST of a view that supports it.

    A method decorated with `accounts.endpoint.endpoint` names its own errors. Other views list the errors of their unsafe
    methods in `refusals`.
    The first sentence of a method's docstring is the summary, unless `extend_schema` sets one; the rest is the description.
    """

    def get_summary(self) -> str | None:
        return super().get_summary() or _split(super().get_description())[0]

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular asks without path and method
        whole = super().get_description()
        first, rest = _split(whole)
        return rest if self.get_summary() == first else whole

    def get_override_parameters(self) -> list[Any]:
        parameters = [IDEMPOTENCY_KEY] if self.method == "POST" and self._is_idempotent() else []
        for authentication in self.view.authentication_classes:
            for name, description in getattr(authentication, "named_in_headers", ()):
                parameters.append(OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description))
            for name, description in getattr(authentication, "named_in_query", ()) if self.method == "GET" else ():
                parameters.append(OpenApiParameter(name, OpenApiTypes.UUID, description=description))
        return parameters

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        codes: dict[int, set[str]] = {}
        for refusal in self._refusals():
            codes.setdefault(refusal.status, set()).add(refusal.code)
        for status, names in sorted(codes.items()):
            text = f"Error (RFC 9457): {', '.join(f'`{name}`' for name in sorted(names))}."
            schema = {"$ref": "#/components/schemas/Problem"}
            bodies[str(status)] = {"description": text, "content": {problems.CONTENT_TYPE: {"schema": schema}}}
        return bodies

    def _handler(self) -> Any:
        return getattr(self.view, self.method.lower())

    def _is_idempotent(self) -> bool:
        return bool(getattr(self._handler(), "idempotent", getattr(self.view, "idempotent", False)))

    def _refusals(self) -> list[type[errors.DomainError]]:
        """Return the error classes that the operation can raise."""
        classes: list[type[errors.DomainError]] = [*ALWAYS]
        if self.method == "GET":
            classes.append(errors.UnknownParameter)
        else:
            classes += [*WITH_BODY, *getattr(self.view, "refusals", ())]
        classes += getattr(self._handler(), "refusals", ())
        if "{" in self.path or (self.method == "GET" and isinstance(self._get_paginator(), api.Page)):  # type: ignore[no-untyped-call]
            classes.append(errors.NotFound)
        if self.get_override_parameters() and self.method == "POST":
            classes.append(errors.IdempotencyConflict)
        for authentication in self.view.authentication_classes:
            classes += getattr(authentication, "refusals", ())
        return classes
