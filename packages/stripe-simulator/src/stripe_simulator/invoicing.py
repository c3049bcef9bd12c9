"""Draft invoices: lines, discounts and totals."""

from collections.abc import Sequence
from typing import Any

from stripe_simulator import discounts, jobs, money, tax_ids
from stripe_simulator.defaults import ISSUER_SELF, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit
from stripe_simulator.lists import embedded_list
from stripe_simulator.pricing import Charge
from stripe_simulator.render import embeds, includes, view
from stripe_simulator.types import DAY, HOUR, Obj, id_of, new_id
from stripe_simulator.unit_of_work import Unit


def line_pricing(price: Obj, unit_amount: Any) -> Obj:
    details = {"price": price["id"], "product": price["product"]}
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": unit_amount}


def line(
    amount: int, currency: str, description: str | None, start: int, end: int, *, parent: Obj | None, price: Obj | None = None, **more: Any
) -> Obj:
    quantity = more.pop("quantity", 1)
    new_line = new_object(
        "line_item",
        id=new_id("il", 24),
        amount=amount,
        currency=currency,
        description=description,
        discountable=True,
        discount_amounts=[],
        parent=parent,
        period={"start": start, "end": end},
        pretax_credit_amounts=[],
        pricing=line_pricing(price, more.pop("unit", None)) if price else None,
        quantity=quantity,
        quantity_decimal=None if quantity is None else str(quantity),
        subtotal=amount,
        taxes=[],
    )
    new_line.update(more)
    return new_line


def subscription_line(subscription: Obj, item: Obj, price: Obj, charge: Charge, name: str, start: int, end: int) -> Obj:
    """Return the line for one period of an item that is not a proration."""
    parent = {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": subscription["id"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }
    words = f"{charge.quantity} {money.MULTIPLICATION_SIGN} {name} {charge.note}"
    unit_amount = None if charge.unit is None else format(charge.unit, "f")
    return line(
        charge.amount,
        price["currency"],
        words,
        start,
        end,
        parent=parent,
        price=price,
        unit=unit_amount,
        quantity=charge.quantity,
        subscription=subscription["id"],
    )


def item_line(unit: Unit, item: Obj) -> Obj:
    """Return the line of a pending invoice item."""
    owner = item["parent"] and item["parent"]["subscription_details"]
    price_id = item["pricing"] and item["pricing"]["price_details"]["price"]
    price = unit.get(price_id) if price_id else None
    credited = (item.get("proration_details") or {}).get("credited_items") or {}
    details: Obj = {"proration": item["proration"]}
    details["proration_details"] = {"credited_items": credited.get("invoice_line_item_details")}
    if owner and owner.get("subscription_item"):
        details |= {"invoice_item": item["id"], "subscription": owner["subscription"], "subscription_item": owner["subscription_item"]}
        parent = {"invoice_item_details": None, "subscription_item_details": details, "type": "subscription_item_details"}
    else:
        details |= {"invoice_item": item["id"], "subscription": owner and owner["subscription"]}
        parent = {"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"}
    period = item["period"]
    new_line = line(item["amount"], item["currency"], item["description"], period["start"], period["end"], parent=parent, price=price)
    new_line |= {"pricing": item["pricing"], "quantity": item["quantity"], "quantity_decimal": item["quantity_decimal"]}
    return new_line | {"discountable": item["discountable"], "metadata": item["metadata"], "subscription": owner and owner["subscription"]}


def pending_items(unit: Unit, customer: str, subscription: str | None, currency: str) -> list[Obj]:
    items = unit.find("invoiceitem", parent="pending", customer=customer, oldest_first=True)
    return [i for i in items if i["currency"] == currency and i["_subscription"] in (None, subscription)]


def draft(
    unit: Unit,
    customer: Obj,
    *,
    currency: str,
    reason: str,
    period: tuple[int, int],
    subscription: Obj | None = None,
    lines: Sequence[Obj] = (),
    items: Sequence[Obj] = (),
    discount_ids: Sequence[str] | None = None,
    automatic: bool = True,
    quiet: bool = False,
    **values: Any,
) -> Obj:
    """Create a draft of these lines and pending items. If `automatic`, it is finalized an hour later."""
    now = unit.now(customer)
    invoice = new_object(
        "invoice",
        id=new_id("in", 24),
        account_country="US",
        account_name="ContextMCP local",
        auto_advance=automatic,
        automatic_tax=new_object("automatic_tax", enabled=False),
        automatically_finalizes_at=now + HOUR if automatic else None,
        billing_reason=reason,
        collection_method=subscription["collection_method"] if subscription else "charge_automatically",
        created=now,
        currency=currency,
        customer=customer["id"],
        customer_address=customer["address"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        customer_phone=customer["phone"],
        customer_shipping=customer["shipping"],
        customer_tax_exempt=customer["tax_exempt"],
        customer_tax_ids=[{"type": each["type"], "value": each["value"]} for each in tax_ids.of_customer(unit, customer["id"])],
        issuer=ISSUER_SELF,
        metadata={},
        parent=_parent(subscription),
        payment_settings={"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        period_start=period[0],
        period_end=period[1],
        starting_balance=customer["balance"],
        status="draft",
        test_clock=customer["test_clock"],
        _lines=[],
        _subscription=subscription["id"] if subscription else None,
    )
    if subscription is not None and subscription["days_until_due"] is not None:
        invoice["due_date"] = now + subscription["days_until_due"] * DAY
    invoice.update(values)
    unit.add(invoice)
    if customer["currency"] is None:
        customer["currency"] = currency  # From now on the customer pays in this currency.
        unit.save(customer)
    for pending in items:
        invoice["_lines"].append(item_line(unit, pending))
        pending["invoice"] = invoice["id"]
        unit.save(pending)
    invoice["_lines"] += lines
    ids = discount_ids if discount_ids is not None else subscription["discounts"] if subscription else []
    invoice["discounts"] = [discount["id"] for discount in discounts.active(unit, ids, now)]
    update_totals(unit, invoice)
    if subscription is not None:
        subscription["latest_invoice"] = invoice["id"]
        unit.save(subscription)
    if not quiet:
        emit(unit, "invoice.created", invoice)
    if automatic:
        jobs.schedule(unit, "finalize", invoice, now + HOUR)
    return invoice


def _parent(subscription: Obj | None) -> Obj | None:
    if subscription is None:
        return None
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def update_totals(unit: Unit, invoice: Obj) -> None:
    """Recalculate the amounts of a draft."""
    lines = invoice["_lines"]
    for each in lines:
        each["invoice"] = invoice["id"]
    discount_objects = discounts.active(unit, invoice["discounts"], invoice["created"])
    totals = discounts.allocate(unit, discount_objects, lines, invoice["currency"])
    invoice["total_discount_amounts"] = totals
    invoice["total_pretax_credit_amounts"] = [{**each, "type": "discount"} for each in totals]
    invoice["total_taxes"] = []
    for each in lines:
        each["pretax_credit_amounts"] = [{**share, "type": "discount"} for share in each["discount_amounts"]]
    invoice["subtotal"] = invoice["subtotal_excluding_tax"] = sum(each["amount"] for each in lines)
    invoice["total"] = invoice["total_excluding_tax"] = invoice["subtotal"] - sum(each["amount"] for each in totals)
    customer = unit.require("customer", invoice["customer"], deleted=True)
    invoice["starting_balance"] = customer.get("balance", 0)
    invoice["amount_due"] = invoice["amount_remaining"] = (
        max(invoice["total"] + invoice["starting_balance"], 0) if invoice["total"] > 0 else 0
    )
    unit.save(invoice)


def require_draft(invoice: Obj) -> None:
    if invoice["status"] != "draft":
        message = f"Invoice {invoice['id']} is no longer a draft: its amounts cannot be changed."
        raise invalid(message, code="invoice_not_editable")


@embeds("invoice")
def _embed(unit: Unit, invoice: Obj, rendered: Obj) -> None:
    id = invoice["id"]
    rendered["lines"] = embedded_list(f"/v1/invoices/{id}/lines", [_line_view(each) for each in shown_lines(invoice)])


def shown_lines(invoice: Obj) -> list[Obj]:
    return [{**each, "discounts": [share["discount"] for share in each["discount_amounts"]]} for each in invoice["_lines"]]


def _line_view(each: Obj) -> Obj:
    return {key: value for key, value in each.items() if not key.startswith("_")}


@includes("invoice", "payments")
def _payments(unit: Unit, invoice: Obj) -> Obj:
    payments = unit.find("invoice_payment", parent=invoice["id"])
    return embedded_list(f"/v1/invoice_payments?invoice={invoice['id']}", [view(unit, payment) for payment in payments])


@includes("invoice", "confirmation_secret")
def _secret(unit: Unit, invoice: Obj) -> Obj | None:
    intent = unit.get(id_of(invoice.get("_intent")) or "")
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None
