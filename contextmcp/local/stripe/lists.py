"""Pages of objects, as every list of Stripe's takes and gives them."""

from collections.abc import Sequence
from typing import Any

from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.parameters import take_all


def within(value: int, asked: Any) -> bool:
    """`created=…` or `created[gte]=…` and its kind."""
    if asked is None:
        return True
    if isinstance(asked, int):
        return value == asked
    bounds = {"gt": value > asked.get("gt", value - 1), "gte": value >= asked.get("gte", value)}
    bounds |= {"lt": value < asked.get("lt", value + 1), "lte": value <= asked.get("lte", value)}
    return all(bounds.values())


def bounds(p: Params, name: str) -> Any:
    """What `within` takes, read from the request once: an empty list must not leave it unread."""
    return take_all(p.get(name))


def page(url: str, found: Sequence[Obj], p: Params) -> Obj:
    """The page of `found` (newest first) that limit, starting_after, ending_before and created ask for."""
    created = bounds(p, "created")
    rows = [item for item in found if within(item.get("created", 0), created)]
    limit = p.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid(f"This value must be less than or equal to 100 (you passed {limit}).", "limit", "parameter_invalid_integer")
    places = {item["id"]: number for number, item in enumerate(rows)}
    if after := p.get("starting_after"):
        rows = rows[_place(places, after, "starting_after") + 1 :]
    if before := p.get("ending_before"):
        rows = rows[: _place(places, before, "ending_before")]
        picked, more = rows[-limit:], len(rows) > limit
    else:
        picked, more = rows[:limit], len(rows) > limit
    return {"object": "list", "url": url, "has_more": more, "_listed": list(picked)}


def whole(url: str, found: Sequence[Obj]) -> Obj:
    """A list inside an object: the first ten, already as they are shown."""
    return {"object": "list", "url": url, "has_more": len(found) > 10, "data": list(found[:10])}


def _place(places: dict[str, int], id: str, param: str) -> int:
    if id not in places:
        raise invalid(f"No such object: '{id}'", param, "resource_missing")
    return places[id]
