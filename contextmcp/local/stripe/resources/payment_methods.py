"""Payment methods: cards, by their number or by Stripe's test tokens."""

from contextmcp.local.stripe import cards, debits, payments
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.parameters import part, take_all, unsupported
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import address, merge_metadata
from contextmcp.local.stripe.unit import Unit


def _billing(given: Params | None) -> Params:
    details = dict(given or {})
    if "address" in details:
        details["address"] = address(details["address"])
    return details


@answers("POST", "/v1/payment_methods")
def create(unit: Unit, p: Params) -> Obj:
    given = p.get("card")
    kind = p.get("type", "card")
    if kind == "sepa_debit" and p.get("sepa_debit"):
        method = debits.new_method(unit, p["sepa_debit"]["iban"], take_all(p.get("billing_details") or {}))
        _describe(method, p)
        return method
    if kind != "card":
        raise unsupported("type", f" with the value {kind!r}")
    if not given:
        raise invalid("Missing required param: card.", "card", "parameter_missing")
    card = cards.of_token(given["token"]) if given.get("token") else cards.of_number(given.get("number", ""))
    if card is None:
        raise invalid(f"No such token: '{given['token']}'", "card[token]", "resource_missing")
    expiry = part(given, ("exp_month", "exp_year"))
    take_all(given)  # the number, the token and the security code say nothing more
    method = payments.new_method(unit, card, **expiry)
    _describe(method, p)
    return method


def _describe(method: Obj, p: Params) -> None:
    for name, value in _billing(p.get("billing_details")).items():
        method["billing_details"][name] = take_all(value) or None
    if p.get("allow_redisplay"):
        method["allow_redisplay"] = p["allow_redisplay"]
    merge_metadata(method, p.get("metadata"))


@answers("GET", "/v1/payment_methods/{payment_method}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("payment_method", p["payment_method"])


@answers("POST", "/v1/payment_methods/{payment_method}")
def update(unit: Unit, p: Params) -> Obj:
    method = unit.need("payment_method", p["payment_method"])
    _describe(method, p)
    method["card"] |= {name: p["card"][name] for name in ("exp_month", "exp_year") if name in (p.get("card") or {})}
    updated(unit, method)
    return method


@answers("POST", "/v1/payment_methods/{payment_method}/attach")
def attach(unit: Unit, p: Params) -> Obj:
    customer = unit.need("customer", p["customer"], "customer")
    return payments.attach(unit, payments.method(unit, p["payment_method"]), customer)


@answers("POST", "/v1/payment_methods/{payment_method}/detach")
def detach(unit: Unit, p: Params) -> Obj:
    method = unit.need("payment_method", p["payment_method"])
    customer = unit.get(method["customer"] or "")
    if customer is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.", "payment_method")
    method["customer"] = None
    method["_detached"] = True
    unit.save(method)
    if customer.get("invoice_settings", {}).get("default_payment_method") == method["id"]:
        customer["invoice_settings"]["default_payment_method"] = None
        updated(unit, customer)
    emit(unit, "payment_method.detached", method, previous={"customer": customer["id"]})
    return method


@answers("GET", "/v1/payment_methods")
def index(unit: Unit, p: Params) -> Obj:
    found = [method for method in unit.find("payment_method", customer=p.get("customer")) if method["customer"]]
    if "type" in p:
        found = [method for method in found if method["type"] == p["type"]]
    return page("/v1/payment_methods", found, p)
