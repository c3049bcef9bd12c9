"""Events, newest first."""

from stripe_simulator.errors import invalid
from stripe_simulator.lists import page
from stripe_simulator.render import embeds
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


@route("GET", "/v1/events/{id}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("event", p["id"])


@route("GET", "/v1/events")
def index(unit: Unit, p: Params) -> Obj:
    if "type" in p and "types" in p:
        raise invalid("You may not specify both type and types.", "types")
    kinds = p.get("types") or ([p["type"]] if "type" in p else [])
    terms, arguments = [], []
    for kind in kinds:
        terms.append("tag LIKE ?" if kind.endswith("*") else "tag = ?")
        arguments.append(kind.replace("*", "%"))
    where = f" AND ({' OR '.join(terms)})" if terms else ""
    created = p.get("created")
    if isinstance(created, dict) and "gte" in created:  # The most common query. Read only the matching part of a long history.
        where += f" AND created >= {int(created['gte'])}"
    # For one page, read only the event that it starts after, the page, and one more event, not the whole history.
    if after := p.get("starting_after"):
        where += " AND seq <= (SELECT seq FROM objects WHERE id = ?)"
        arguments.append(after)
    if before := p.get("ending_before"):
        where += " AND seq >= (SELECT seq FROM objects WHERE id = ?)"
        arguments.append(before)
    plain = not before and (created is None or (isinstance(created, dict) and set(created) == {"gte"}))
    most = p.get("limit", 10) + 2 if plain else None
    return page("/v1/events", unit.find("event", where=where, arguments=arguments, limit=most), p)


@embeds("event")
def _embed(unit: Unit, event: Obj, rendered: Obj) -> None:
    row = unit.store.one("SELECT COUNT(*) AS left FROM deliveries WHERE event = ? AND state = 'pending'", (event["id"],))
    rendered["pending_webhooks"] = row["left"] if row else 0
