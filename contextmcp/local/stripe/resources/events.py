"""Events, newest first, as they were told."""

from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.render import embeds
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.unit import Unit


@answers("GET", "/v1/events/{id}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("event", p["id"])


@answers("GET", "/v1/events")
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
    if isinstance(created, dict) and "gte" in created:  # the usual question; a long history is not read whole for it
        where += f" AND created >= {int(created['gte'])}"
    # A long history is not read whole for a page of it: the event that it begins after, the page itself, and one more.
    if after := p.get("starting_after"):
        where += " AND seq <= (SELECT seq FROM objects WHERE id = ?)"
        arguments.append(after)
    if before := p.get("ending_before"):
        where += " AND seq >= (SELECT seq FROM objects WHERE id = ?)"
        arguments.append(before)
    plain = not before and (created is None or (isinstance(created, dict) and set(created) == {"gte"}))
    most = p.get("limit", 10) + 2 if plain else None
    return page("/v1/events", unit.find("event", where=where, arguments=arguments, most=most), p)


@embeds("event")
def _embed(unit: Unit, event: Obj, shown: Obj) -> None:
    row = unit.store.one("SELECT COUNT(*) AS left FROM deliveries WHERE event = ? AND state = 'pending'", (event["id"],))
    shown["pending_webhooks"] = row["left"] if row else 0
