"""Coupons, and the promotion codes by which customers use them."""

import secrets

from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj, Params, new_id
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.parameters import only, take_all, unsupported
from contextmcp.local.stripe.render import includes
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import blank, merge_metadata
from contextmcp.local.stripe.unit import Unit


@answers("POST", "/v1/coupons")
def create(unit: Unit, p: Params) -> Obj:
    if ("percent_off" in p) == ("amount_off" in p):
        raise invalid("You must pass exactly one of percent_off or amount_off.", "percent_off", "parameter_missing")
    if "amount_off" in p and "currency" not in p:
        raise invalid("You must pass currency when passing amount_off", "currency", "parameter_missing")
    duration = p.get("duration", "once")
    if (duration == "repeating") != ("duration_in_months" in p):
        raise invalid("duration_in_months goes with a duration of repeating, and only with it.", "duration_in_months", "parameter_missing")
    coupon = blank(
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


@answers("GET", "/v1/coupons/{coupon}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("coupon", p["coupon"])


@answers("POST", "/v1/coupons/{coupon}")
def update(unit: Unit, p: Params) -> Obj:
    coupon = unit.need("coupon", p["coupon"])
    coupon["name"] = p.get("name", coupon["name"])
    merge_metadata(coupon, p.get("metadata"))
    updated(unit, coupon)
    return coupon


@answers("DELETE", "/v1/coupons/{coupon}")
def delete(unit: Unit, p: Params) -> Obj:
    coupon = unit.need("coupon", p["coupon"])
    for discount in unit.find("discount"):
        if discount["source"]["coupon"] == coupon["id"]:
            discount["_coupon"] = {**coupon}  # what was granted goes on; only new redemptions end
            unit.save(discount)
    emit(unit, "coupon.deleted", coupon)
    return unit.tombstone(coupon)


@answers("GET", "/v1/coupons")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/coupons", unit.find("coupon"), p)


@answers("POST", "/v1/promotion_codes")
def create_code(unit: Unit, p: Params) -> Obj:
    only(p["promotion"], "type", "coupon", of="promotion")
    coupon = unit.need("coupon", p["promotion"].get("coupon", ""), "promotion[coupon]")
    limits = take_all(p.get("restrictions") or {})
    if limits.pop("currency_options", None):
        raise unsupported("restrictions[currency_options]")
    if ("minimum_amount" in limits) != ("minimum_amount_currency" in limits):
        message = "You must pass `minimum_amount` and `minimum_amount_currency` together."
        raise invalid(message, "restrictions[minimum_amount_currency]", "parameter_missing")
    code = p.get("code") or secrets.token_hex(4).upper()
    if any(other["active"] for other in unit.find("promotion_code", tag=code.lower())):
        raise invalid("An active promotion code with that code already exists.", "code", "resource_already_exists")
    if p.get("customer"):
        unit.need("customer", p["customer"], "customer")
    made = blank(
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
        restrictions=blank("promotion_codes_resource_restrictions", **limits),
    )
    merge_metadata(made, p.get("metadata"))
    unit.add(made)
    emit(unit, "promotion_code.created", made)
    return made


@answers("GET", "/v1/promotion_codes/{promotion_code}")
def retrieve_code(unit: Unit, p: Params) -> Obj:
    return unit.need("promotion_code", p["promotion_code"])


@answers("POST", "/v1/promotion_codes/{promotion_code}")
def update_code(unit: Unit, p: Params) -> Obj:
    code = unit.need("promotion_code", p["promotion_code"])
    code["active"] = p.get("active", code["active"])
    merge_metadata(code, p.get("metadata"))
    updated(unit, code)
    return code


@answers("GET", "/v1/promotion_codes")
def codes(unit: Unit, p: Params) -> Obj:
    code = p["code"].lower() if "code" in p else None
    found = unit.find("promotion_code", tag=code, parent=p.get("coupon"), customer=p.get("customer"))
    if "active" in p:
        found = [each for each in found if each["active"] == p["active"]]
    return page("/v1/promotion_codes", found, p)


@includes("coupon", "applies_to")
def _applies_to(unit: Unit, coupon: Obj) -> Obj | None:
    return {"products": coupon["_products"]} if coupon.get("_products") else None


@includes("coupon", "currency_options")
def _currency_options(unit: Unit, coupon: Obj) -> Obj:
    return {coupon["currency"]: {"amount_off": coupon["amount_off"]}} if coupon["amount_off"] else {}
