"""Payment methods, by test card numbers or test tokens."""

from stripe_simulator import cards, debits, payments
from stripe_simulator.defaults import address, merge_metadata
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import page
from stripe_simulator.parameters import pick, read_all, unsupported
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


def _billing(params: Params | None) -> Params:
    details = dict(params or {})
    if "address" in details:
        details["address"] = address(details["address"])
    return details


@route("POST", "/v1/payment_methods")
def create(unit: Unit, p: Params) -> Obj:
    card_params = p.get("card")
    kind = p.get("type", "card")
    if kind == "sepa_debit" and p.get("sepa_debit"):
        method = debits.new_method(unit, p["sepa_debit"]["iban"], read_all(p.get("billing_details") or {}))
        _describe(method, p)
        return method
    if kind != "card":
        raise unsupported("type", f" with the value {kind!r}")
    if not card_params:
        raise invalid("Missing required param: card.", "card", "parameter_missing")
    card = cards.of_token(card_params["token"]) if card_params.get("token") else cards.of_number(card_params.get("number", ""))
    if card is None:
        raise invalid(f"No such token: '{card_params['token']}'", "card[token]", "resource_missing")
    expiry = pick(card_params, ("exp_month", "exp_year"))
    read_all(card_params)  # The number determines the card, so expiry and security code have no effect.
    method = payments.new_method(unit, card, **expiry)
    _describe(method, p)
    return method


def _describe(method: Obj, p: Params) -> None:
    for name, value in _billing(p.get("billing_details")).items():
        method["billing_details"][name] = read_all(value) or None
    if p.get("allow_redisplay"):
        method["allow_redisplay"] = p["allow_redisplay"]
    merge_metadata(method, p.get("metadata"))


@route("GET", "/v1/payment_methods/{payment_method}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("payment_method", p["payment_method"])


@route("POST", "/v1/payment_methods/{payment_method}")
def update(unit: Unit, p: Params) -> Obj:
    method = unit.require("payment_method", p["payment_method"])
    _describe(method, p)
    method["card"] |= {name: p["card"][name] for name in ("exp_month", "exp_year") if name in (p.get("card") or {})}
    updated(unit, method)
    return method


@route("POST", "/v1/payment_methods/{payment_method}/attach")
def attach(unit: Unit, p: Params) -> Obj:
    customer = unit.require("customer", p["customer"], "customer")
    return payments.attach(unit, payments.method(unit, p["payment_method"]), customer)


@route("POST", "/v1/payment_methods/{payment_method}/detach")
def detach(unit: Unit, p: Params) -> Obj:
    method = unit.require("payment_method", p["payment_method"])
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


@route("GET", "/v1/payment_methods")
def index(unit: Unit, p: Params) -> Obj:
    methods = [method for method in unit.find("payment_method", customer=p.get("customer")) if method["customer"]]
    if "type" in p:
        methods = [method for method in methods if method["type"] == p["type"]]
    return page("/v1/payment_methods", methods, p)
