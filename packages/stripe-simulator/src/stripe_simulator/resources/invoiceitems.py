"""Invoice items: amounts that are billed with the next invoice."""

from decimal import Decimal

from stripe_simulator import catalog, currencies, discounts, invoicing, money, pricing
from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import page
from stripe_simulator.parameters import read_all
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit


@route("POST", "/v1/invoiceitems")
def create(unit: Unit, p: Params) -> Obj:
    customer = unit.require("customer", p.get("customer", ""), "customer")
    now = unit.now(customer)
    price = None
    if id := (p.get("pricing") or {}).get("price"):
        price = unit.require("price", id, "pricing[price]")
    elif data := p.get("price_data"):
        price = catalog.inline_price(unit, data)
    quantity = p.get("quantity", 1)
    if price is not None:
        amount, currency = pricing.full_amount(price, quantity), price["currency"]
    elif "amount" in p or "unit_amount_decimal" in p:
        amount = p["amount"] if "amount" in p else money.round_half_up(Decimal(p["unit_amount_decimal"]) * quantity)
        currency = p.get("currency") or customer["currency"] or "usd"
    else:
        raise invalid("You must provide one of amount, pricing or price_data.", "amount", "parameter_missing")
    currencies.require(unit, customer, currency)
    subscription = unit.require("subscription", p["subscription"], "subscription") if p.get("subscription") else None
    if subscription is not None and subscription["customer"] != customer["id"]:
        raise invalid(f"The subscription {subscription['id']} does not belong to the customer {customer['id']}.", "subscription")
    owner = {"subscription_details": {"subscription": subscription["id"]}, "type": "subscription_details"} if subscription else None
    item = new_object(
        "invoiceitem",
        id=new_id("ii", 24),
        amount=amount,
        currency=currency.lower(),
        customer=customer["id"],
        date=now,
        description=p.get("description") or (pricing.name(unit, price) if price else None),
        discountable=p.get("discountable", True),
        discounts=[],
        metadata={},
        parent=owner,
        period=read_all(p.get("period")) or {"start": now, "end": now},
        pricing=invoicing.line_pricing(price, price["unit_amount_decimal"]) if price else None,
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=[],
        test_clock=customer["test_clock"],
        _subscription=subscription and subscription["id"],
    )
    item["discounts"] = [discounts.create(unit, row, customer["id"])["id"] for row in p.get("discounts") or []]
    merge_metadata(item, p.get("metadata"))
    unit.add(item)
    if p.get("invoice"):
        _add_to_invoice(unit, item, unit.require("invoice", p["invoice"], "invoice"))
    emit(unit, "invoiceitem.created", item)
    return item


def _add_to_invoice(unit: Unit, item: Obj, invoice: Obj) -> None:
    invoicing.require_draft(invoice)
    item["invoice"] = invoice["id"]
    invoice["_lines"].append(invoicing.item_line(unit, item))
    invoicing.update_totals(unit, invoice)
    updated(unit, invoice)


@route("GET", "/v1/invoiceitems/{invoiceitem}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("invoiceitem", p["invoiceitem"])


@route("POST", "/v1/invoiceitems/{invoiceitem}")
def update(unit: Unit, p: Params) -> Obj:
    item = _open(unit, p["invoiceitem"])
    item |= {name: p[name] for name in ("amount", "description", "discountable", "period") if name in p}
    merge_metadata(item, p.get("metadata"))
    unit.save(item)
    return item


@route("DELETE", "/v1/invoiceitems/{invoiceitem}")
def delete(unit: Unit, p: Params) -> Obj:
    item = _open(unit, p["invoiceitem"])
    emit(unit, "invoiceitem.deleted", item)
    return unit.tombstone(item)


def _open(unit: Unit, id: str) -> Obj:
    item = unit.require("invoiceitem", id)
    if item["invoice"]:
        raise invalid("This invoice item is attached to an invoice and cannot be changed.", "invoiceitem", "invoice_not_editable")
    return item


@route("GET", "/v1/invoiceitems")
def index(unit: Unit, p: Params) -> Obj:
    parent = "pending" if p.get("pending") else p.get("invoice")
    items = unit.find("invoiceitem", customer=p.get("customer"), parent=parent)
    if p.get("pending") is False:
        items = [item for item in items if item["invoice"]]
    return page("/v1/invoiceitems", items, p)
