"""Checkout sessions: an order with a page of its own."""

import time

from contextmcp.local.stripe import catalog, checkout, discounts, jobs, pricing
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.kinds import DAY, Obj, Params, new_id
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.render import shown
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import blank, merge_metadata
from contextmcp.local.stripe.unit import Unit


def _rows(unit: Unit, p: Params) -> list[Obj]:
    rows = []
    for number, given in enumerate(p.get("line_items") or []):
        param = f"line_items[{number}]"
        if given.get("price_data"):
            price = catalog.inline_price(unit, given["price_data"])
        else:
            price = unit.need("price", given.get("price", ""), f"{param}[price]")
            if not price["active"]:
                raise invalid(f"The price specified is inactive. This field only accepts active prices: {price['id']}", param)
        metered = pricing.is_metered(price)
        if metered and "quantity" in given:
            raise invalid("You cannot set the quantity for metered plans.", f"{param}[quantity]")
        if not metered and "quantity" not in given:
            raise invalid(f"Quantity is required. Add `quantity` to `{param}`", f"{param}[quantity]", "parameter_missing")
        rows.append({"id": new_id("li", 24), "price": price["id"], "quantity": given.get("quantity")})
    return rows


def _check(unit: Unit, p: Params, rows: list[Obj]) -> None:
    mode = p.get("mode", "payment")
    kinds = {unit.need("price", row["price"])["type"] for row in rows}
    if mode == "subscription" and "recurring" not in kinds:
        raise invalid("You must provide at least one recurring price in `subscription` mode when using prices.", "line_items")
    if mode == "payment" and "recurring" in kinds:
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices.",
            "line_items",
        )
    if mode != "setup" and not rows:
        raise invalid("You must pass `line_items`.", "line_items", "parameter_missing")
    if p.get("ui_mode", "hosted_page") == "hosted_page" and not p.get("success_url"):
        raise invalid("You must provide `success_url` for a hosted page.", "success_url", "parameter_missing")
    if p.get("customer") and p.get("customer_email"):
        raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer_email")
    if p.get("allow_promotion_codes") is not None and p.get("discounts"):
        raise invalid("You may only specify one of these parameters: allow_promotion_codes, discounts.", "discounts")
    if mode != "subscription" and p.get("subscription_data"):
        raise invalid("You can not pass `subscription_data` in `payment` mode.", "subscription_data")
    if len({unit.need("price", row["price"])["currency"] for row in rows}) > 1:
        raise invalid("All prices on a Checkout Session must use the same currency.", "line_items")
    days = (p.get("subscription_data") or {}).get("trial_period_days")
    if days is not None and days < 1:
        raise invalid("The minimum number of trial period days is 1.", "subscription_data[trial_period_days]")


@answers("POST", "/v1/checkout/sessions")
def create(unit: Unit, p: Params) -> Obj:
    rows = _rows(unit, p)
    _check(unit, p, rows)
    if p.get("customer"):
        unit.need("customer", p["customer"], "customer")
    for given in p.get("discounts") or []:
        if given.get("promotion_code"):
            discounts.promotion_of(unit, given["promotion_code"])
        else:
            unit.need("coupon", given.get("coupon", ""), "discounts[0][coupon]")
    real = int(time.time())
    id = new_id("cs_test", 58)
    mode = p.get("mode", "payment")
    session = blank(
        "checkout.session",
        id=id,
        allow_promotion_codes=p.get("allow_promotion_codes"),
        automatic_tax={
            **blank("payment_pages_checkout_session_automatic_tax"),
            "enabled": (p.get("automatic_tax") or {}).get("enabled", False),
        },
        billing_address_collection=p.get("billing_address_collection"),
        cancel_url=p.get("cancel_url"),
        client_reference_id=p.get("client_reference_id"),
        created=real,
        currency=unit.need("price", rows[0]["price"])["currency"] if rows else p.get("currency"),
        customer=p.get("customer"),
        customer_creation=None if p.get("customer") else ("always" if mode == "subscription" else "if_required"),
        customer_email=p.get("customer_email"),
        expires_at=p.get("expires_at") or real + DAY,
        locale=p.get("locale"),
        metadata={},
        mode=mode,
        payment_method_collection=p.get("payment_method_collection", "always") if mode == "subscription" else "if_required",
        payment_method_types=["card"],
        payment_status="unpaid" if mode != "setup" else "no_payment_required",
        status="open",
        success_url=p.get("success_url"),
        ui_mode=p.get("ui_mode", "hosted_page"),
        url=f"{unit.base_url}/c/pay/{id}",
        _rows=rows,
        _discounts=p.get("discounts") or [],
        _subscription_data=p.get("subscription_data") or {},
        _payment_intent_data=p.get("payment_intent_data") or {},
    )
    session["phone_number_collection"] = {"enabled": False}
    merge_metadata(session, p.get("metadata"))
    if not 30 * 60 - 60 <= session["expires_at"] - real <= DAY + 60:
        raise invalid("The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.", "expires_at")
    unit.add(session)
    checkout.count(unit, session)
    # A session's day is a real one, whatever clock its customer hangs on: the page is opened by a person.
    jobs.schedule_real(unit, "session_expiry", session, session["expires_at"])
    return session


@answers("GET", "/v1/checkout/sessions/{session}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("checkout.session", p["session"])


@answers("POST", "/v1/checkout/sessions/{session}")
def update(unit: Unit, p: Params) -> Obj:
    session = unit.need("checkout.session", p["session"])
    merge_metadata(session, p.get("metadata"))
    unit.save(session)
    return session


@answers("POST", "/v1/checkout/sessions/{session}/expire")
def expire(unit: Unit, p: Params) -> Obj:
    session = unit.need("checkout.session", p["session"])
    checkout.expire(unit, session)
    return session


@answers("GET", "/v1/checkout/sessions/{session}/line_items")
def line_items(unit: Unit, p: Params) -> Obj:
    session = unit.need("checkout.session", p["session"])
    listed = page(f"/v1/checkout/sessions/{session['id']}/line_items", checkout.item_views(unit, session), p)
    listed["data"] = listed.pop("_listed")
    return shown(listed)


@answers("GET", "/v1/checkout/sessions")
def index(unit: Unit, p: Params) -> Obj:
    found = unit.find("checkout.session", customer=p.get("customer"))
    for name in ("status", "subscription", "payment_intent"):
        if name in p:
            found = [session for session in found if session[name] == p[name]]
    if email := (p.get("customer_details") or {}).get("email"):
        found = [session for session in found if (session["customer_details"] or {}).get("email") == email]
    return page("/v1/checkout/sessions", found, p)
