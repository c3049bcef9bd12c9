"""The customer portal: its configurations, and sessions with a page."""

from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj, Params, new_id
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.parameters import take_all
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import blank, merge_metadata
from contextmcp.local.stripe.unit import Unit

REASONS = ["too_expensive", "missing_features", "switched_service", "unused", "other"]


def _features(given: Params) -> Obj:
    cancel = given.get("subscription_cancel") or {}
    update = given.get("subscription_update") or {}
    reason = cancel.get("cancellation_reason") or {}
    customer = given.get("customer_update") or {}
    products = update.get("products") or None
    return {
        "customer_update": {"allowed_updates": customer.get("allowed_updates") or [], "enabled": customer.get("enabled", False)},
        "invoice_history": {"enabled": (given.get("invoice_history") or {}).get("enabled", False)},
        "payment_method_update": {
            "enabled": (given.get("payment_method_update") or {}).get("enabled", False),
            "payment_method_configuration": None,
        },
        "subscription_cancel": {
            "cancellation_reason": {"enabled": reason.get("enabled", False), "options": reason.get("options") or REASONS},
            "enabled": cancel.get("enabled", False),
            "mode": cancel.get("mode", "at_period_end"),
            "proration_behavior": cancel.get("proration_behavior", "none"),
        },
        "subscription_update": {
            "billing_cycle_anchor": update.get("billing_cycle_anchor", "unchanged"),
            "default_allowed_updates": update.get("default_allowed_updates") or [],
            "enabled": update.get("enabled", False),
            "products": [_product(row) for row in products] if products else None,
            "proration_behavior": update.get("proration_behavior", "none"),
            "schedule_at_period_end": {"conditions": take_all((update.get("schedule_at_period_end") or {}).get("conditions")) or []},
            "trial_update_behavior": update.get("trial_update_behavior", "end_trial"),
        },
    }


def _product(row: Params) -> Obj:
    adjustable = {"enabled": False, "maximum": None, "minimum": 1, **take_all(row.get("adjustable_quantity") or {})}
    return {"adjustable_quantity": adjustable, "prices": row["prices"], "product": row["product"]}


def _profile(given: Params | None) -> Obj:
    return {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None, **take_all(given or {})}


def _new(unit: Unit, p: Params, default: bool = False) -> Obj:
    now = unit.now()
    made = blank(
        "billing_portal.configuration",
        id=new_id("bpc", 24),
        active=True,
        business_profile=_profile(p.get("business_profile")),
        created=now,
        default_return_url=p.get("default_return_url") or None,
        features=_features(p["features"]),
        is_default=default,
        login_page={"enabled": (p.get("login_page") or {}).get("enabled", False), "url": None},
        metadata={},
        name=p.get("name"),
        updated=now,
    )
    merge_metadata(made, p.get("metadata"))
    unit.add(made)
    emit(unit, "billing_portal.configuration.created", made)
    return made


def default(unit: Unit) -> Obj:
    """The configuration of an account that made none: everything but switching plans."""
    for found in unit.find("billing_portal.configuration"):
        if found["is_default"]:
            return found
    on = {"enabled": True}
    features = {"invoice_history": on, "payment_method_update": on, "subscription_cancel": on}
    return _new(unit, {"features": features}, default=True)


@answers("POST", "/v1/billing_portal/configurations")
def create(unit: Unit, p: Params) -> Obj:
    return _new(unit, p)


@answers("GET", "/v1/billing_portal/configurations/{configuration}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("billing_portal.configuration", p["configuration"])


@answers("POST", "/v1/billing_portal/configurations/{configuration}")
def update(unit: Unit, p: Params) -> Obj:
    found = unit.need("billing_portal.configuration", p["configuration"])
    if "features" in p:
        found["features"] = _features(
            {**found["features"], **{k: {**found["features"][k], **take_all(v)} for k, v in p["features"].items()}}
        )
    if "business_profile" in p:
        found["business_profile"] = _profile({**found["business_profile"], **take_all(p["business_profile"])})
    for name in ("active", "default_return_url", "name"):
        if name in p:
            found[name] = p[name] if p[name] != "" else None
    merge_metadata(found, p.get("metadata"))
    found["updated"] = unit.now()
    updated(unit, found)
    return found


@answers("GET", "/v1/billing_portal/configurations")
def index(unit: Unit, p: Params) -> Obj:
    found = unit.find("billing_portal.configuration")
    for name in ("active", "is_default"):
        if name in p:
            found = [each for each in found if each[name] == p[name]]
    return page("/v1/billing_portal/configurations", found, p)


@answers("POST", "/v1/billing_portal/sessions")
def create_session(unit: Unit, p: Params) -> Obj:
    customer = unit.need("customer", p.get("customer", ""), "customer")
    chosen = p.get("configuration")
    configuration = unit.need("billing_portal.configuration", chosen, "configuration") if chosen else default(unit)
    id = new_id("bps", 24)
    session = blank(
        "billing_portal.session",
        id=id,
        configuration=configuration["id"],
        created=unit.now(),
        customer=customer["id"],
        flow=_flow(unit, p["flow_data"]) if p.get("flow_data") else None,
        locale=p.get("locale"),
        return_url=p.get("return_url") or configuration["default_return_url"],
        url=f"{unit.base_url}/p/session/{id}",
    )
    unit.add(session)
    emit(unit, "billing_portal.session.created", session)
    return session


def _flow(unit: Unit, given: Params) -> Obj:
    after = given.get("after_completion") or {"type": "portal_homepage"}
    flow = blank("portal_flows_flow", type=given["type"])
    flow["after_completion"] = {
        "hosted_confirmation": take_all(after.get("hosted_confirmation")),
        "redirect": take_all(after.get("redirect")),
        "type": after["type"],
    }
    for name in ("subscription_cancel", "subscription_update", "subscription_update_confirm"):
        if name not in given:
            continue
        part = take_all(given[name])
        subscription = unit.need("subscription", part["subscription"], f"flow_data[{name}][subscription]")
        if name == "subscription_cancel" and subscription["cancel_at_period_end"]:
            raise invalid("The subscription is already set to be canceled.", f"flow_data[{name}]")
        flow[name] = {"retention": None, **part} if name == "subscription_cancel" else dict(part)
        if name == "subscription_update_confirm":
            flow[name]["discounts"] = part.get("discounts")
            flow[name]["items"] = [
                {"id": i.get("id"), "price": i.get("price"), **({"quantity": i["quantity"]} if "quantity" in i else {})}
                for i in part["items"]
            ]
    return flow
