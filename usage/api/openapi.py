"""What of usage's bodies no serializer can say."""

from typing import Any

from .schemas import EVENTS


def or_an_array(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook: events may come in an array with nothing around it."""
    result["components"]["schemas"]["EventOrEventsRequest"]["oneOf"].append(EVENTS)
    return result
