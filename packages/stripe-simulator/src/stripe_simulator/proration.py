"""Prorations: credits for unused time and charges for remaining time."""

from datetime import UTC, datetime
from decimal import Decimal

from stripe_simulator import discounts, items, metering, money, pricing
from stripe_simulator.defaults import new_object
from stripe_simulator.events import emit
from stripe_simulator.invoicing import line_pricing, subscription_line
from stripe_simulator.types import Obj, new_id
from stripe_simulator.unit_of_work import Unit


def format_date(moment: int) -> str:
    date = datetime.fromtimestamp(moment, UTC)
    return f"{date.day} {date:%b %Y}"


def pending_item(
    unit: Unit, subscription: Obj, item: Obj, price: Obj, amount: int, words: str, span: tuple[int, int], **more: object
) -> Obj:
    """Create a pending invoice item."""
    now = unit.now(subscription)
    quantity = item.get("quantity", 1)
    owner = {"subscription": subscription["id"], "subscription_item": item["id"]}
    pending = new_object(
        "invoiceitem",
        id=new_id("ii", 24),
        amount=amount,
        currency=subscription["currency"],
        customer=subscription["customer"],
        date=now,
        description=words,
        discountable=False,
        discounts=[],
        metadata={},
        parent={"subscription_details": owner, "type": "subscription_details"},
        period={"start": span[0], "end": span[1]},
        pricing=line_pricing(price, price.get("unit_amount_decimal")),
        proration=True,
        proration_details={"credited_items": None, "discount_amounts": []},
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=[],
        test_clock=subscription["test_clock"],
        _subscription=subscription["id"],
    )
    pending.update(more)
    unit.add(pending)
    emit(unit, "invoiceitem.created", pending)
    return pending


def credit_unused(unit: Unit, subscription: Obj, item: Obj, moment: int) -> Obj | None:
    """Credit the unused part of what was last billed for an item (flexible billing: at the billed price, not the current one)."""
    billed = item["_billed"]
    if not billed or moment >= billed["end"]:
        return None
    price = unit.require("price", billed["price"])
    amount = money.prorate(billed["amount"], billed["end"] - moment, billed["end"] - billed["start"])
    many = f"{billed['quantity']} {money.MULTIPLICATION_SIGN} " if billed["quantity"] != 1 else ""
    words = f"Unused time on {many}{pricing.name(unit, price)} after {format_date(moment)}"
    item["_billed"] = None
    billed_item = {**item, "quantity": billed["quantity"]}
    details = {"credited_items": _credited(billed), "discount_amounts": []}
    return pending_item(
        unit, subscription, billed_item, price, -amount, words, (moment, billed["end"]), proration_details=details, _item=item["id"]
    )


def _credited(billed: Obj) -> Obj:
    if not billed.get("line"):
        return {"invoice_item": billed["pending"], "type": "invoice_item"}
    lines = {"invoice": billed["invoice"], "invoice_line_items": [billed["line"]]}
    return {"invoice_line_item_details": lines, "type": "invoice_line_items"}


def charge_remaining(unit: Unit, subscription: Obj, item: Obj, moment: int, grid: tuple[int, int]) -> Obj | None:
    """Charge the rest of the period at the item's current price."""
    price = items.price_of(unit, item)
    if pricing.is_metered(price):
        return None
    full = pricing.full_amount(price, item["quantity"])
    active_discounts = discounts.active(unit, subscription["discounts"], moment)
    amount = discounts.net(unit, active_discounts, money.prorate(full, grid[1] - moment, grid[1] - grid[0]), price["product"])
    many = f"{item['quantity']} {money.MULTIPLICATION_SIGN} " if item["quantity"] != 1 else ""
    words = f"Remaining time on {many}{pricing.name(unit, price)} after {format_date(moment)}"
    pending = pending_item(unit, subscription, item, price, amount, words, (moment, grid[1]), _item=item["id"])
    item["_billed"] = {
        "amount": amount,
        "start": moment,
        "end": grid[1],
        "price": price["id"],
        "quantity": item["quantity"],
        "pending": pending["id"],
    }
    return pending


def metered_lines(unit: Unit, subscription: Obj, item: Obj, start: int, end: int) -> list[Obj]:
    """Return the lines of a metered item for the past period. Usage is never prorated."""
    price = items.price_of(unit, item)
    quantity = metering.billable_quantity(unit, price, subscription["customer"], start, end)
    name = pricing.name(unit, price)
    return [subscription_line(subscription, item, price, charge, name, start, end) for charge in pricing.charges(price, quantity)]


def add_late_usage(unit: Unit, invoice: Obj) -> None:
    """Add the usage that was reported for the past period after the draft was created. It counts until the invoice is finalized."""
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is None:
        return
    metered = {item["id"]: item for item in subscription["_items"] if pricing.is_metered(items.price_of(unit, item))}
    fresh: dict[tuple[str, int, int], list[Obj]] = {}
    lines: list[Obj] = []
    for line in invoice["_lines"]:
        identifier = ((line["parent"] or {}).get("subscription_item_details") or {}).get("subscription_item", "")
        start, end = line["period"]["start"], line["period"]["end"]
        if identifier not in metered:
            lines.append(line)
            continue
        place = (identifier, start, end)
        if place not in fresh:
            fresh[place] = metered_lines(unit, subscription, metered[identifier], start, end)
            fresh[place][0]["id"] = line["id"]
            lines += fresh[place]
    invoice["_lines"] = lines


def licensed_lines(unit: Unit, subscription: Obj, item: Obj, start: int, end: int, grid: tuple[int, int]) -> list[Obj]:
    """Return the lines of a licensed item for the coming period, prorated if it is shorter than the billing cycle."""
    price = items.price_of(unit, item)
    name = pricing.name(unit, price)
    out = []
    for charge in pricing.charges(price, Decimal(item["quantity"])):
        line = subscription_line(subscription, item, price, charge, name, start, end)
        if (start, end) != grid:
            line["amount"] = line["subtotal"] = money.prorate(charge.amount, end - start, grid[1] - grid[0])
        out.append(line)
    return out


def record_billed(invoice: Obj, subscription: Obj) -> None:
    """Store on each item what this invoice billed for it, for a later credit."""
    by_id = {item["id"]: item for item in subscription["_items"]}
    fresh: set[str] = set()
    for line in invoice["_lines"]:
        details = (line["parent"] or {}).get("subscription_item_details") or {}
        item = by_id.get(details.get("subscription_item", ""))
        if item is None or "quantity" not in item:
            continue
        billed = item["_billed"]
        if details["proration"]:
            if billed and billed.get("pending") == details["invoice_item"]:
                billed |= {"invoice": invoice["id"], "line": line["id"]}
            continue
        amount = line["amount"] - sum(share["amount"] for share in line["discount_amounts"])
        if item["id"] in fresh and billed:
            billed["amount"] += amount
            continue
        fresh.add(item["id"])
        item["_billed"] = {
            "amount": amount,
            "start": line["period"]["start"],
            "end": line["period"]["end"],
            "price": item["price"],
            "quantity": item["quantity"],
            "invoice": invoice["id"],
            "line": line["id"],
        }
