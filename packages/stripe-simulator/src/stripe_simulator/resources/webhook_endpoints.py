"""Webhook endpoints. The signing secret is returned only on creation."""

from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.lists import page
from stripe_simulator.render import already_rendered, view
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit


@route("POST", "/v1/webhook_endpoints")
def create(unit: Unit, p: Params) -> Obj:
    _check(p)
    endpoint = new_object(
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
    return already_rendered({**view(unit, endpoint), "secret": endpoint["_secret"]})


def _check(p: Params) -> None:
    if "url" in p and not p["url"].startswith(("http://", "https://")):
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url", "url_invalid")


@route("GET", "/v1/webhook_endpoints/{webhook_endpoint}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("webhook_endpoint", p["webhook_endpoint"])


@route("POST", "/v1/webhook_endpoints/{webhook_endpoint}")
def update(unit: Unit, p: Params) -> Obj:
    _check(p)
    endpoint = unit.require("webhook_endpoint", p["webhook_endpoint"])
    endpoint |= {name: p[name] for name in ("url", "enabled_events", "description") if name in p}
    if "disabled" in p:
        endpoint["status"] = "disabled" if p["disabled"] else "enabled"
    merge_metadata(endpoint, p.get("metadata"))
    unit.save(endpoint)
    return endpoint


@route("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}")
def delete(unit: Unit, p: Params) -> Obj:
    return unit.tombstone(unit.require("webhook_endpoint", p["webhook_endpoint"]))


@route("GET", "/v1/webhook_endpoints")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/webhook_endpoints", unit.find("webhook_endpoint"), p)
