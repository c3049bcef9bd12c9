"""The order of Stripe's events. Their times are whole seconds, and a purchase causes several events in one second. Pure functions."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from billing.models import SubscriptionChange

Payload = Mapping[str, Any]


def in_order(events: Iterable[Payload]) -> list[Payload]:
    """Return the events of one object within one second, in the order in which they occurred.

    An event states the previous values of what it changed, so it follows the event whose object has these values.
    """
    remaining = list(events)
    result: list[Payload] = []
    current: Mapping[str, Any] | None = None
    while remaining:
        event = _next(remaining, current)
        remaining.remove(event)
        result.append(event)
        current = event["data"]["object"]
    return result


def in_effect(changes: Iterable[SubscriptionChange]) -> list[SubscriptionChange]:
    """Return the effective changes of one subscription in order. Of the events of each second, only the last revision counts."""
    result: list[SubscriptionChange] = []
    ordered = sorted(changes, key=lambda change: (change.effective_at, change.pk))
    for _, group in groupby(ordered, key=lambda change: change.effective_at.replace(microsecond=0)):
        rows = list(group)
        last = max(row.revision for row in rows)
        result += [row for row in rows if not row.event_id or row.revision == last]
    return result


def _next(events: list[Payload], current: Mapping[str, Any] | None) -> Payload:
    if len(events) == 1:
        return events[0]
    created = [event for event in events if event["type"].endswith(".created")]
    if created:
        return created[0]
    others = [event for event in events if not event["type"].endswith(".deleted")] or events
    if current is not None:
        exact = [event for event in others if _reverted(event) == current]
        following = exact or [event for event in others if _follows(event, current)]
        if following:
            return following[0]
    first = [event for event in others if not any(_follows(event, each["data"]["object"]) for each in others if each is not event)]
    return (first or others)[0]


def _reverted(event: Payload) -> Mapping[str, Any]:
    """Return the object as it was before the event."""
    return _with_values(event["data"]["object"], event["data"].get("previous_attributes") or {})


def _with_values(actual: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(actual)
    for name, value in values.items():
        other = actual.get(name)
        merged[name] = _with_values(other, value) if isinstance(value, Mapping) and isinstance(other, Mapping) else value
    return merged


def _follows(event: Payload, before: Mapping[str, Any]) -> bool:
    """Return whether the event's previous values match the object in `before`."""
    previous = event["data"].get("previous_attributes")
    return bool(previous) and _has_values(before, previous)


def _has_values(actual: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    for name, value in values.items():
        other = actual.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping) and "id" not in value:
            if not _has_values(other, value):
                return False
        elif other != value:
            return False
    return True
