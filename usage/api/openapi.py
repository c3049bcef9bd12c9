"""OpenAPI postprocessing hooks for bodies that no serializer can describe."""

from typing import Any

from .event_schemas import EVENTS


def allow_bare_array(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add a bare array of events to the request bodies of `record_events` (drf-spectacular postprocessing hook)."""
    schemas = result["components"]["schemas"]
    # The elements of an array cannot name a customer, so their schema is a single event without these fields.
    single = schemas["SingleEventSchemaRequest"]
    properties = {name: field for name, field in single["properties"].items() if name not in ("credential", "organizationId")}
    schemas["EventSchemaRequest"] = {**single, "properties": properties}
    schemas["EventOrEventsRequest"]["oneOf"].append(EVENTS)
    return result
