"""Pagination, as in all of Stripe's list operations."""

from collections.abc import Sequence
from typing import Any

from stripe_simulator.errors import invalid
from stripe_simulator.parameters import read_all
from stripe_simulator.types import Obj, Params


def matches(value: int, condition: Any) -> bool:
    """Return whether a value matches a filter such as `created=...` or `created[gte]=...`."""
    if condition is None:
        return True
    if isinstance(condition, int):
        return value == condition
    bounds = {"gt": value > condition.get("gt", value - 1), "gte": value >= condition.get("gte", value)}
    bounds |= {"lt": value < condition.get("lt", value + 1), "lte": value <= condition.get("lte", value)}
    return all(bounds.values())


def read_filter(p: Params, name: str) -> Any:
    """Read a filter for `within` from the request, so that the parameter counts as read even if the list is empty."""
    return read_all(p.get(name))


def page(url: str, objects: Sequence[Obj], p: Params) -> Obj:
    """Return the page of `objects` (newest first) that limit, starting_after, ending_before and created select."""
    created = read_filter(p, "created")
    rows = [item for item in objects if matches(item.get("created", 0), created)]
    limit = p.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid(f"This value must be less than or equal to 100 (you passed {limit}).", "limit", "parameter_invalid_integer")
    places = {item["id"]: number for number, item in enumerate(rows)}
    if after := p.get("starting_after"):
        rows = rows[_position(places, after, "starting_after") + 1 :]
    if before := p.get("ending_before"):
        rows = rows[: _position(places, before, "ending_before")]
        page_rows, more = rows[-limit:], len(rows) > limit
    else:
        page_rows, more = rows[:limit], len(rows) > limit
    return {"object": "list", "url": url, "has_more": more, "_listed": list(page_rows)}


def embedded_list(url: str, objects: Sequence[Obj]) -> Obj:
    """Return a list inside an object: the first ten of its rendered objects."""
    return {"object": "list", "url": url, "has_more": len(objects) > 10, "data": list(objects[:10])}


def _position(places: dict[str, int], id: str, param: str) -> int:
    if id not in places:
        raise invalid(f"No such object: '{id}'", param, "resource_missing")
    return places[id]
