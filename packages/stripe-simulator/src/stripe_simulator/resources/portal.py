"""The customer portal: configurations and sessions."""

from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import page
from stripe_simulator.parameters import read_all
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit

REASONS = ["too_expensive", "missing_features", "switched_service", "unused", "other"]


def _features(params: Params) -> Obj:
    cancel = params.get("subscription_cancel") or {}
    update = params.get("subscription_update") or {}
    reason = cancel.get("cancellation_reason") or {}
    customer = params.get("customer_update") or {}
    products = update.get("products") or None
    return {
        "customer_update": {"allowed_updates": customer.get("allowed_updates") or [], "enabled": customer.get("enabled", False)},
        "invoice_history": {"enabled": (params.get("invoice_history") or {}).get("enabled", False)},
        "payment_method_update": {
            "enabled": (params.get("payment_method_update") or {}).get("enabled", False),
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
            "schedule_at_period_end": {"conditions": read_all((update.get("schedule_at_period_end") or {}).get("conditions")) or []},
            "trial_update_behavior": update.get("trial_update_behavior", "end_trial"),
        },
    }


def _product(row: Params) -> Obj:
    adjustable = {"enabled": False, "maximum": None, "minimum": 1, **read_all(row.get("adjustable_quantity") or {})}
    return {"adjustable_quantity": adjustable, "prices": row["prices"], "product": row["product"]}


def _profile(params: Params | None) -> Obj:
    return {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None, **read_all(params or {})}


def _new_configuration(unit: Unit, p: Params, default: bool = False) -> Obj:
    now = unit.now()
    configuration = new_object(
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
    merge_metadata(configuration, p.get("metadata"))
    unit.add(configuration)
    emit(unit, "billing_portal.configuration.created", configuration)
    return configuration


def default(unit: Unit) -> Obj:
    """Return the account's default configuration: every feature except plan changes."""
    for configuration in unit.find("billing_portal.configuration"):
        if configuration["is_default"]:
            return configuration
    on = {"enabled": True}
    details = {**on, "allowed_updates": ["name", "address", "tax_id"]}
    features = {"customer_update": details, "invoice_history": on, "payment_method_update": on, "subscription_cancel": on}
    return _new_configuration(unit, {"features": features}, default=True)


@route("POST", "/v1/billing_portal/configurations")
def create(unit: Unit, p: Params) -> Obj:
    return _new_configuration(unit, p)


@route("GET", "/v1/billing_portal/configurations/{configuration}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("billing_portal.configuration", p["configuration"])


@route("POST", "/v1/billing_portal/configurations/{configuration}")
def update(unit: Unit, p: Params) -> Obj:
    configuration = unit.require("billing_portal.configuration", p["configuration"])
    if "features" in p:
        configuration["features"] = _features(
            {**configuration["features"], **{k: {**configuration["features"][k], **read_all(v)} for k, v in p["features"].items()}}
        )
    if "business_profile" in p:
        configuration["business_profile"] = _profile({**configuration["business_profile"], **read_all(p["business_profile"])})
    for name in ("active", "default_return_url", "name"):
        if name in p:
            configuration[name] = p[name] if p[name] != "" else None
    merge_metadata(configuration, p.get("metadata"))
    configuration["updated"] = unit.now()
    updated(unit, configuration)
    return configuration


@route("GET", "/v1/billing_portal/configurations")
def index(unit: Unit, p: Params) -> Obj:
    if p.get("is_default"):
        default(unit)
    configurations = unit.find("billing_portal.configuration")
    for name in ("active", "is_default"):
        if name in p:
            configurations = [each for each in configurations if each[name] == p[name]]
    return page("/v1/billing_portal/configurations", configurations, p)


@route("POST", "/v1/billing_portal/sessions")
def create_session(unit: Unit, p: Params) -> Obj:
    customer = unit.require("customer", p.get("customer", ""), "customer")
    configuration_id = p.get("configuration")
    configuration = unit.require("billing_portal.configuration", configuration_id, "configuration") if configuration_id else default(unit)
    id = new_id("bps", 24)
    session = new_object(
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


def _flow(unit: Unit, params: Params) -> Obj:
    after = params.get("after_completion") or {"type": "portal_homepage"}
    flow = new_object("portal_flows_flow", type=params["type"])
    flow["after_completion"] = {
        "hosted_confirmation": read_all(after.get("hosted_confirmation")),
        "redirect": read_all(after.get("redirect")),
        "type": after["type"],
    }
    for name in ("subscription_cancel", "subscription_update", "subscription_update_confirm"):
        if name not in params:
            continue
        part = read_all(params[name])
        subscription = unit.require("subscription", part["subscription"], f"flow_data[{name}][subscription]")
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
