"""Checkout sessions."""

import time

from stripe_simulator import catalog, checkout, checkout_lines, currencies, discounts, jobs, pricing, tax
from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.lists import page
from stripe_simulator.parameters import accept_only, pick, read_all, unsupported
from stripe_simulator.render import already_rendered
from stripe_simulator.routes.match import route
from stripe_simulator.subscriptions import creation
from stripe_simulator.types import DAY, Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit


def _rows(unit: Unit, p: Params) -> list[Obj]:
    rows = []
    for number, item in enumerate(p.get("line_items") or []):
        param = f"line_items[{number}]"
        if item.get("price_data"):
            price = catalog.inline_price(unit, item["price_data"])
        else:
            price = unit.require("price", item.get("price", ""), f"{param}[price]")
            if not price["active"]:
                raise invalid(f"The price specified is inactive. This field only accepts active prices: {price['id']}", param)
        metered = pricing.is_metered(price)
        if metered and "quantity" in item:
            raise invalid("You cannot set the quantity for metered plans.", f"{param}[quantity]")
        if not metered and "quantity" not in item:
            raise invalid(f"Quantity is required. Add `quantity` to `{param}`", f"{param}[quantity]", "parameter_missing")
        rows.append({"id": new_id("li", 24), "price": price["id"], "quantity": item.get("quantity")})
    return rows


def _check(unit: Unit, p: Params, rows: list[Obj]) -> None:
    mode = p.get("mode", "payment")
    kinds = {unit.require("price", row["price"])["type"] for row in rows}
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
    if len({unit.require("price", row["price"])["currency"] for row in rows}) > 1:
        raise invalid("All prices on a Checkout Session must use the same currency.", "line_items")
    days = (p.get("subscription_data") or {}).get("trial_period_days")
    if days is not None and days < 1:
        raise invalid("The minimum number of trial period days is 1.", "subscription_data[trial_period_days]")


def _creation(p: Params, mode: str) -> str:
    if mode == "subscription":
        return "always"
    creation: str = p.get("customer_creation", "if_required")
    return creation


def _subscription_data(unit: Unit, p: Params, customer: Obj | None) -> Obj:
    """Return the parameters of the future subscription. Refuse what its creation would refuse."""
    params = p.get("subscription_data") or {}
    creation.billing_mode(params.get("billing_mode"))
    creation.trial_end_of(params, unit.now(customer))
    accept_only(params, "proration_behavior", "create_prorations")
    data = read_all(pick(params, ("description", "metadata", "trial_end", "trial_period_days", "trial_settings")))
    return {**data, "automatic_tax": {"enabled": (p.get("automatic_tax") or {}).get("enabled", False)}}


def _payment_intent_data(p: Params) -> Obj:
    params = p.get("payment_intent_data") or {}
    accept_only(params, "capture_method", "automatic", of="payment_intent_data")
    names = ("description", "metadata", "receipt_email", "setup_future_usage", "shipping")
    data: Obj = read_all(pick(params, names))
    return data


@route("POST", "/v1/checkout/sessions")
def create(unit: Unit, p: Params) -> Obj:
    rows = _rows(unit, p)
    _check(unit, p, rows)
    customer = unit.require("customer", p["customer"], "customer") if p.get("customer") else None
    real = int(time.time())
    id = new_id("cs_test", 58)
    mode = p.get("mode", "payment")
    currency = unit.require("price", rows[0]["price"])["currency"] if rows else p.get("currency")
    if p.get("currency", currency) != currency:
        raise invalid(f"None of the prices supports the currency `{p['currency']}`.", "currency")
    if customer is not None and currency is not None and mode == "subscription":
        currencies.require(unit, customer, currency, "line_items")
    updates = pick(p.get("customer_update") or {}, ("address", "name"))
    automatic = tax.is_requested(unit, p, customer, collects_address=customer is None or updates.get("address") == "auto")
    if updates and customer is None:
        raise invalid("`customer_update` can only be used with `customer`.", "customer_update")
    accept_only(p, "billing_address_collection", "auto")  # the page only asks for the country
    accept_only(p, "redirect_on_completion", "always")
    for name in ("phone_number_collection", "tax_id_collection", "adaptive_pricing"):
        accept_only(p.get(name) or {}, "enabled", False, of=name)
    types = p.get("payment_method_types") or ["card"]
    if unknown := set(types) - {"card", "sepa_debit"}:
        raise unsupported("payment_method_types", f" with the value {unknown.pop()!r}")
    if "sepa_debit" in types and currency != "eur":
        message = "The payment method `sepa_debit` is only available for the currency eur."
        raise invalid(message, "payment_method_types")
    accept_only(p, "ui_mode", "hosted_page")
    accept_only(p, "submit_type", "auto", "pay")
    collection = p.get("payment_method_collection", "always")
    session = new_object(
        "checkout.session",
        id=id,
        allow_promotion_codes=p.get("allow_promotion_codes"),
        automatic_tax={
            **new_object("payment_pages_checkout_session_automatic_tax"),
            "enabled": automatic,
        },
        billing_address_collection=p.get("billing_address_collection"),
        cancel_url=p.get("cancel_url"),
        client_reference_id=p.get("client_reference_id"),
        created=real,
        currency=currency,
        customer=p.get("customer"),
        customer_creation=None if customer else _creation(p, mode),
        customer_email=p.get("customer_email"),
        expires_at=p.get("expires_at") or real + DAY,
        locale=p.get("locale"),
        metadata={},
        mode=mode,
        payment_method_collection=collection if mode == "subscription" else "if_required",
        payment_method_types=types,
        payment_status="unpaid" if mode != "setup" else "no_payment_required",
        status="open",
        success_url=p.get("success_url"),
        ui_mode=p.get("ui_mode", "hosted_page"),
        url=f"{unit.base_url}/c/pay/{id}",
        _rows=rows,
        _discounts=[pick(row, ("coupon", "promotion_code")) for row in p.get("discounts") or []],
        _subscription_data=_subscription_data(unit, p, customer),
        _payment_intent_data=_payment_intent_data(p),
        _updates=updates,
    )
    session["phone_number_collection"] = {"enabled": False}
    merge_metadata(session, p.get("metadata"))
    if not 30 * 60 - 60 <= session["expires_at"] - real <= DAY + 60:
        raise invalid("The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.", "expires_at")
    unit.add(session)
    checkout_lines.update_totals(unit, session)
    for row in session["_discounts"]:
        discounts.check(unit, row, session["customer"], session["amount_subtotal"], currency)
    # Sessions expire in real time, even if the customer is on a test clock, because a person opens the page.
    jobs.schedule_in_real_time(unit, "session_expiry", session, session["expires_at"])
    return session


@route("GET", "/v1/checkout/sessions/{session}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("checkout.session", p["session"])


@route("POST", "/v1/checkout/sessions/{session}")
def update(unit: Unit, p: Params) -> Obj:
    session = unit.require("checkout.session", p["session"])
    merge_metadata(session, p.get("metadata"))
    unit.save(session)
    return session


@route("POST", "/v1/checkout/sessions/{session}/expire")
def expire(unit: Unit, p: Params) -> Obj:
    session = unit.require("checkout.session", p["session"])
    checkout.expire(unit, session)
    return session


@route("GET", "/v1/checkout/sessions/{session}/line_items")
def line_items(unit: Unit, p: Params) -> Obj:
    session = unit.require("checkout.session", p["session"])
    listed = page(f"/v1/checkout/sessions/{session['id']}/line_items", checkout_lines.item_views(unit, session), p)
    listed["data"] = listed.pop("_listed")
    return already_rendered(listed)


@route("GET", "/v1/checkout/sessions")
def index(unit: Unit, p: Params) -> Obj:
    sessions = unit.find("checkout.session", customer=p.get("customer"))
    for name in ("status", "subscription", "payment_intent"):
        if name in p:
            sessions = [session for session in sessions if session[name] == p[name]]
    if email := (p.get("customer_details") or {}).get("email"):
        sessions = [session for session in sessions if (session["customer_details"] or {}).get("email") == email]
    return page("/v1/checkout/sessions", sessions, p)
