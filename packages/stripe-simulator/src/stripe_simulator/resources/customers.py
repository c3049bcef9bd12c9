"""Customers."""

import secrets

from stripe_simulator import cancellation, customer_balance, jobs, payments
from stripe_simulator.defaults import address, merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import embedded_list, page
from stripe_simulator.parameters import read_all
from stripe_simulator.render import includes
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params, id_of, new_id
from stripe_simulator.unit_of_work import Unit

TEXTS = ("description", "email", "name", "phone", "tax_exempt", "preferred_locales", "invoice_prefix")


def _apply(unit: Unit, customer: Obj, p: Params) -> None:
    for name in TEXTS:
        if name in p:
            customer[name] = read_all(p[name]) if p[name] != "" else None
    if customer["tax_exempt"] is None:
        customer["tax_exempt"] = "none"
    if "address" in p:
        customer["address"] = address(p["address"])
    if "shipping" in p:
        shipping = p["shipping"]
        customer["shipping"] = new_object("shipping", **{**shipping, "address": address(shipping["address"])}) if shipping else None
    for name in ("business_name", "individual_name"):
        if p.get(name):
            customer[name] = p[name]
    merge_metadata(customer, p.get("metadata"))
    if method := p.get("payment_method"):
        payments.attach(unit, payments.method(unit, method), customer)
    if "invoice_settings" in p:
        _invoice_settings(unit, customer, p["invoice_settings"])
    if "balance" in p and p["balance"] != customer["balance"]:
        change = p["balance"] - customer["balance"]
        customer["balance"] = p["balance"]
        customer["currency"] = customer["currency"] or "usd"
        customer_balance.add_transaction(unit, customer, change, "adjustment", currency=customer["currency"])


def _invoice_settings(unit: Unit, customer: Obj, params: Params) -> None:
    settings = customer["invoice_settings"]
    for name in ("custom_fields", "footer", "rendering_options"):
        if name in params:
            settings[name] = read_all(params[name]) or None
    if params.get("default_payment_method"):
        method = payments.method(unit, params["default_payment_method"], "invoice_settings[default_payment_method]")
        if id_of(method["customer"]) is None and method["id"] != params["default_payment_method"]:
            payments.attach(unit, method, customer)
        if id_of(method["customer"]) != customer["id"]:
            message = f"The customer does not have a payment method with the ID {method['id']}. The payment method must be attached to it."
            raise invalid(message, "invoice_settings[default_payment_method]", "resource_missing")
        settings["default_payment_method"] = method["id"]
    elif params.get("default_payment_method") == "":
        settings["default_payment_method"] = None


def new_customer(unit: Unit, p: Params) -> Obj:
    clock = p.get("test_clock")
    if clock:
        unit.require("test_helpers.test_clock", clock, "test_clock")
    customer = new_object(
        "customer",
        id=new_id("cus", 14),
        balance=0,
        currency=None,
        delinquent=False,
        invoice_prefix=secrets.token_hex(4).upper(),
        invoice_settings={"custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None},
        metadata={},
        next_invoice_sequence=1,
        preferred_locales=[],
        tax_exempt="none",
        test_clock=clock,
    )
    unit.add(customer)
    customer["created"] = unit.now(customer)
    _apply(unit, customer, p)
    emit(unit, "customer.created", customer)
    return customer


@route("POST", "/v1/customers")
def create(unit: Unit, p: Params) -> Obj:
    return new_customer(unit, p)


@route("GET", "/v1/customers/{customer}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("customer", p["customer"], deleted=True)


@route("POST", "/v1/customers/{customer}")
def update(unit: Unit, p: Params) -> Obj:
    customer = unit.require("customer", p["customer"])
    _apply(unit, customer, p)
    updated(unit, customer)
    return customer


@route("DELETE", "/v1/customers/{customer}")
def delete(unit: Unit, p: Params) -> Obj:
    customer = unit.require("customer", p["customer"])
    for subscription in unit.find("subscription", customer=customer["id"]):
        if subscription["status"] not in cancellation.TERMINAL_STATUSES:
            cancellation.cancel_now(unit, subscription)
    for method in unit.find("payment_method", customer=customer["id"]):
        method["customer"] = None
        method["_detached"] = True
        unit.save(method)
    jobs.cancel(unit, customer)
    emit(unit, "customer.deleted", customer)
    return unit.tombstone(customer)


@route("GET", "/v1/customers")
def index(unit: Unit, p: Params) -> Obj:
    objects = unit.find("customer", tag=p.get("email"), clock=p.get("test_clock"))
    if "test_clock" not in p:
        objects = [
            customer for customer in objects if not customer["test_clock"]
        ]  # As at Stripe, customers on a test clock are listed only by their clock.
    return page("/v1/customers", objects, p)


@route("GET", "/v1/customers/{customer}/payment_methods")
def methods(unit: Unit, p: Params) -> Obj:
    unit.require("customer", p["customer"])
    objects = unit.find("payment_method", customer=p["customer"])
    if "type" in p:
        objects = [method for method in objects if method["type"] == p["type"]]
    return page(f"/v1/customers/{p['customer']}/payment_methods", objects, p)


@route("GET", "/v1/customers/{customer}/balance_transactions")
def balance(unit: Unit, p: Params) -> Obj:
    unit.require("customer", p["customer"])
    objects = unit.find("customer_balance_transaction", customer=p["customer"])
    return page(f"/v1/customers/{p['customer']}/balance_transactions", objects, p)


@route("POST", "/v1/customers/{customer}/balance_transactions")
def adjust(unit: Unit, p: Params) -> Obj:
    customer = unit.require("customer", p["customer"])
    customer["balance"] += p["amount"]
    customer["currency"] = customer["currency"] or p["currency"]
    updated(unit, customer)
    entry = customer_balance.add_transaction(unit, customer, p["amount"], "adjustment", currency=p["currency"])
    entry["description"] = p.get("description")
    merge_metadata(entry, p.get("metadata"))
    return entry


@includes("customer", "sources")
def _sources(unit: Unit, customer: Obj) -> Obj:
    return embedded_list(f"/v1/customers/{customer['id']}/sources", [])


@includes("customer", "tax")
def _tax(unit: Unit, customer: Obj) -> Obj:
    known = bool(customer["address"] and customer["address"]["country"])
    return {"automatic_tax": "supported" if known else "unrecognized_location", "ip_address": None, "location": None, "provider": "stripe"}
