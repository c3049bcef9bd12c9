"""Customers: whoever pays."""

import secrets

from contextmcp.local.stripe import collecting, ending, jobs, payments
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj, Params, ident, new_id
from contextmcp.local.stripe.lists import page, whole
from contextmcp.local.stripe.parameters import take_all
from contextmcp.local.stripe.render import includes
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import address, blank, merge_metadata
from contextmcp.local.stripe.unit import Unit

TEXTS = ("description", "email", "name", "phone", "tax_exempt", "preferred_locales", "invoice_prefix")


def _apply(unit: Unit, customer: Obj, p: Params) -> None:
    for name in TEXTS:
        if name in p:
            customer[name] = take_all(p[name]) if p[name] != "" else None
    if customer["tax_exempt"] is None:
        customer["tax_exempt"] = "none"
    if "address" in p:
        customer["address"] = address(p["address"])
    if "shipping" in p:
        given = p["shipping"]
        customer["shipping"] = blank("shipping", **{**given, "address": address(given["address"])}) if given else None
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
        collecting.balance_entry(unit, customer, change, "adjustment", currency=customer["currency"])


def _invoice_settings(unit: Unit, customer: Obj, given: Params) -> None:
    settings = customer["invoice_settings"]
    for name in ("custom_fields", "footer", "rendering_options"):
        if name in given:
            settings[name] = take_all(given[name]) or None
    if given.get("default_payment_method"):
        method = payments.method(unit, given["default_payment_method"], "invoice_settings[default_payment_method]")
        if ident(method["customer"]) is None and method["id"] != given["default_payment_method"]:
            payments.attach(unit, method, customer)
        if ident(method["customer"]) != customer["id"]:
            message = f"The customer does not have a payment method with the ID {method['id']}. The payment method must be attached to it."
            raise invalid(message, "invoice_settings[default_payment_method]", "resource_missing")
        settings["default_payment_method"] = method["id"]
    elif given.get("default_payment_method") == "":
        settings["default_payment_method"] = None


def new_customer(unit: Unit, p: Params) -> Obj:
    clock = p.get("test_clock")
    if clock:
        unit.need("test_helpers.test_clock", clock, "test_clock")
    customer = blank(
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


@answers("POST", "/v1/customers")
def create(unit: Unit, p: Params) -> Obj:
    return new_customer(unit, p)


@answers("GET", "/v1/customers/{customer}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("customer", p["customer"], deleted=True)


@answers("POST", "/v1/customers/{customer}")
def update(unit: Unit, p: Params) -> Obj:
    customer = unit.need("customer", p["customer"])
    _apply(unit, customer, p)
    updated(unit, customer)
    return customer


@answers("DELETE", "/v1/customers/{customer}")
def delete(unit: Unit, p: Params) -> Obj:
    customer = unit.need("customer", p["customer"])
    for subscription in unit.find("subscription", customer=customer["id"]):
        if subscription["status"] not in ending.OVER:
            ending.end(unit, subscription)
    for method in unit.find("payment_method", customer=customer["id"]):
        method["customer"] = None
        method["_detached"] = True
        unit.save(method)
    jobs.cancel(unit, customer)
    emit(unit, "customer.deleted", customer)
    return unit.tombstone(customer)


@answers("GET", "/v1/customers")
def index(unit: Unit, p: Params) -> Obj:
    found = unit.find("customer", tag=p.get("email"), clock=p.get("test_clock"))
    if "test_clock" not in p:
        found = [customer for customer in found if not customer["test_clock"]]  # as at Stripe: clocked ones only by their clock
    return page("/v1/customers", found, p)


@answers("GET", "/v1/customers/{customer}/payment_methods")
def methods(unit: Unit, p: Params) -> Obj:
    unit.need("customer", p["customer"])
    found = unit.find("payment_method", customer=p["customer"])
    if "type" in p:
        found = [method for method in found if method["type"] == p["type"]]
    return page(f"/v1/customers/{p['customer']}/payment_methods", found, p)


@answers("GET", "/v1/customers/{customer}/balance_transactions")
def balance(unit: Unit, p: Params) -> Obj:
    unit.need("customer", p["customer"])
    found = unit.find("customer_balance_transaction", customer=p["customer"])
    return page(f"/v1/customers/{p['customer']}/balance_transactions", found, p)


@answers("POST", "/v1/customers/{customer}/balance_transactions")
def adjust(unit: Unit, p: Params) -> Obj:
    customer = unit.need("customer", p["customer"])
    customer["balance"] += p["amount"]
    customer["currency"] = customer["currency"] or p["currency"]
    updated(unit, customer)
    entry = collecting.balance_entry(unit, customer, p["amount"], "adjustment", currency=p["currency"])
    entry["description"] = p.get("description")
    merge_metadata(entry, p.get("metadata"))
    return entry


@includes("customer", "sources")
def _sources(unit: Unit, customer: Obj) -> Obj:
    return whole(f"/v1/customers/{customer['id']}/sources", [])


@includes("customer", "tax_ids")
def _tax_ids(unit: Unit, customer: Obj) -> Obj:
    return whole(f"/v1/customers/{customer['id']}/tax_ids", [])


@includes("customer", "tax")
def _tax(unit: Unit, customer: Obj) -> Obj:
    known = bool(customer["address"] and customer["address"]["country"])
    return {"automatic_tax": "supported" if known else "unrecognized_location", "ip_address": None, "location": None, "provider": "stripe"}
