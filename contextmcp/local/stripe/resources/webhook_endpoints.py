"""Webhook endpoints made by the API, each with a signing secret of its own, told only once."""

from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.kinds import Obj, Params, new_id
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.render import shown, view
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import blank, merge_metadata
from contextmcp.local.stripe.unit import Unit


@answers("POST", "/v1/webhook_endpoints")
def create(unit: Unit, p: Params) -> Obj:
    _check(p)
    endpoint = blank(
        "webhook_endpoint",
        id=new_id("we", 24),
        api_version=p.get("api_version"),
        created=unit.now(),
        description=p.get("description") or None,
        enabled_events=p["enabled_events"],
        metadata={},
        status="enabled",
        url=p["url"],
        _secret=new_id("whsec", 32),
    )
    merge_metadata(endpoint, p.get("metadata"))
    unit.add(endpoint)
    return shown({**view(unit, endpoint), "secret": endpoint["_secret"]})


def _check(p: Params) -> None:
    if "url" in p and not p["url"].startswith(("http://", "https://")):
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url", "url_invalid")


@answers("GET", "/v1/webhook_endpoints/{webhook_endpoint}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("webhook_endpoint", p["webhook_endpoint"])


@answers("POST", "/v1/webhook_endpoints/{webhook_endpoint}")
def update(unit: Unit, p: Params) -> Obj:
    _check(p)
    endpoint = unit.need("webhook_endpoint", p["webhook_endpoint"])
    endpoint |= {name: p[name] for name in ("url", "enabled_events", "description") if name in p}
    if "disabled" in p:
        endpoint["status"] = "disabled" if p["disabled"] else "enabled"
    merge_metadata(endpoint, p.get("metadata"))
    unit.save(endpoint)
    return endpoint


@answers("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}")
def delete(unit: Unit, p: Params) -> Obj:
    return unit.tombstone(unit.need("webhook_endpoint", p["webhook_endpoint"]))


@answers("GET", "/v1/webhook_endpoints")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/webhook_endpoints", unit.find("webhook_endpoint"), p)
