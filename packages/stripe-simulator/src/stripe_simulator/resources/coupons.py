"""Coupons and promotion codes."""

import secrets

from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import page
from stripe_simulator.parameters import accept_only, read_all, unsupported
from stripe_simulator.render import includes
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit


@route("POST", "/v1/coupons")
def create(unit: Unit, p: Params) -> Obj:
    if ("percent_off" in p) == ("amount_off" in p):
        raise invalid("You must pass exactly one of percent_off or amount_off.", "percent_off", "parameter_missing")
    if "amount_off" in p and "currency" not in p:
        raise invalid("You must pass currency when passing amount_off", "currency", "parameter_missing")
    duration = p.get("duration", "once")
    if (duration == "repeating") != ("duration_in_months" in p):
        message = "duration_in_months is required if the duration is repeating, and not allowed otherwise."
        raise invalid(message, "duration_in_months", "parameter_missing")
    coupon = new_object(
        "coupon",
        id=p.get("id") or secrets.token_urlsafe(6).replace("-", "x").replace("_", "y"),
        amount_off=p.get("amount_off"),
        created=unit.now(),
        currency=p.get("currency"),
        duration=duration,
        duration_in_months=p.get("duration_in_months"),
        max_redemptions=p.get("max_redemptions"),
        metadata={},
        name=p.get("name"),
        percent_off=p.get("percent_off"),
        redeem_by=p.get("redeem_by"),
        valid=True,
        _products=(p.get("applies_to") or {}).get("products"),
    )
    if unit.get(coupon["id"]):
        raise invalid("Coupon already exists.", "id", "resource_already_exists")
    merge_metadata(coupon, p.get("metadata"))
    unit.add(coupon)
    emit(unit, "coupon.created", coupon)
    return coupon


@route("GET", "/v1/coupons/{coupon}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("coupon", p["coupon"])


@route("POST", "/v1/coupons/{coupon}")
def update(unit: Unit, p: Params) -> Obj:
    coupon = unit.require("coupon", p["coupon"])
    coupon["name"] = p.get("name", coupon["name"])
    merge_metadata(coupon, p.get("metadata"))
    updated(unit, coupon)
    return coupon


@route("DELETE", "/v1/coupons/{coupon}")
def delete(unit: Unit, p: Params) -> Obj:
    coupon = unit.require("coupon", p["coupon"])
    for discount in unit.find("discount"):
        if discount["source"]["coupon"] == coupon["id"]:
            discount["_coupon"] = {**coupon}  # Existing discounts continue. Only new redemptions end.
            unit.save(discount)
    emit(unit, "coupon.deleted", coupon)
    return unit.tombstone(coupon)


@route("GET", "/v1/coupons")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/coupons", unit.find("coupon"), p)


@route("POST", "/v1/promotion_codes")
def create_code(unit: Unit, p: Params) -> Obj:
    accept_only(p["promotion"], "type", "coupon", of="promotion")
    coupon = unit.require("coupon", p["promotion"].get("coupon", ""), "promotion[coupon]")
    limits = read_all(p.get("restrictions") or {})
    if limits.pop("currency_options", None):
        raise unsupported("restrictions[currency_options]")
    if ("minimum_amount" in limits) != ("minimum_amount_currency" in limits):
        message = "You must pass `minimum_amount` and `minimum_amount_currency` together."
        raise invalid(message, "restrictions[minimum_amount_currency]", "parameter_missing")
    code = p.get("code") or secrets.token_hex(4).upper()
    if any(other["active"] for other in unit.find("promotion_code", tag=code.lower())):
        raise invalid("An active promotion code with that code already exists.", "code", "resource_already_exists")
    if p.get("customer"):
        unit.require("customer", p["customer"], "customer")
    promotion = new_object(
        "promotion_code",
        id=new_id("promo", 24),
        active=p.get("active", True),
        code=code,
        created=unit.now(),
        customer=p.get("customer"),
        expires_at=p.get("expires_at"),
        max_redemptions=p.get("max_redemptions"),
        metadata={},
        promotion={"coupon": coupon["id"], "type": "coupon"},
        restrictions=new_object("promotion_codes_resource_restrictions", **limits),
    )
    merge_metadata(promotion, p.get("metadata"))
    unit.add(promotion)
    emit(unit, "promotion_code.created", promotion)
    return promotion


@route("GET", "/v1/promotion_codes/{promotion_code}")
def retrieve_code(unit: Unit, p: Params) -> Obj:
    return unit.require("promotion_code", p["promotion_code"])


@route("POST", "/v1/promotion_codes/{promotion_code}")
def update_code(unit: Unit, p: Params) -> Obj:
    code = unit.require("promotion_code", p["promotion_code"])
    code["active"] = p.get("active", code["active"])
    merge_metadata(code, p.get("metadata"))
    updated(unit, code)
    return code


@route("GET", "/v1/promotion_codes")
def codes(unit: Unit, p: Params) -> Obj:
    code = p["code"].lower() if "code" in p else None
    objects = unit.find("promotion_code", tag=code, parent=p.get("coupon"), customer=p.get("customer"))
    if "active" in p:
        objects = [each for each in objects if each["active"] == p["active"]]
    return page("/v1/promotion_codes", objects, p)


@includes("coupon", "applies_to")
def _applies_to(unit: Unit, coupon: Obj) -> Obj | None:
    return {"products": coupon["_products"]} if coupon.get("_products") else None


@includes("coupon", "currency_options")
def _currency_options(unit: Unit, coupon: Obj) -> Obj:
    return {coupon["currency"]: {"amount_off": coupon["amount_off"]}} if coupon["amount_off"] else {}
