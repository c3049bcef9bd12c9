"""Change, add and delete the items of a subscription."""

from stripe_simulator import items, jobs, pricing, proration
from stripe_simulator.defaults import merge_metadata
from stripe_simulator.errors import invalid
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


def update_items(unit: Unit, subscription: Obj, params: Params, moment: int, behavior: str) -> tuple[list[Obj], bool]:
    """Change, add and delete items and credit what they were billed. Return the items to bill again, and whether the cycle restarts."""
    changed: list[Obj] = []
    reset = False
    credits_due = behavior != "none" and subscription["status"] != "trialing"
    for number, row in enumerate(params.get("items") or []):
        param = f"items[{number}]"
        if not row.get("id"):
            changed.append(_add(unit, subscription, row, param, moment))
            continue
        item = next((each for each in subscription["_items"] if each["id"] == row["id"]), None)
        if item is None:
            raise invalid(f"No such subscription_item: '{row['id']}'", f"{param}[id]", "resource_missing")
        if row.get("deleted"):
            _remove(unit, subscription, item, moment, credits_due)
            continue
        merge_metadata(item, row.get("metadata"))
        old = items.price_of(unit, item)
        price = items.requested_price(unit, row, param) or old
        quantity = None if pricing.is_metered(price) else row.get("quantity", item.get("quantity", 1))
        if price["id"] == old["id"] and quantity == item.get("quantity"):
            continue
        reset = reset or (not pricing.is_metered(price) and pricing.interval(price) != pricing.interval(old))
        if credits_due:
            proration.credit_unused(unit, subscription, item, moment)
        item["price"] = price["id"]
        if quantity is None:
            item.pop("quantity", None)
        else:
            item["quantity"] = quantity
        changed.append(item)
    if not subscription["_items"]:
        raise invalid("A subscription must have at least one active plan.", "items")
    unit.save(subscription)
    jobs.schedule(unit, "period_roll", subscription, items.next_period_end(subscription))
    return changed, reset


def _add(unit: Unit, subscription: Obj, row: Params, param: str, moment: int) -> Obj:
    item = items.new_item(unit, subscription, row, param)
    if any(other["price"] == item["price"] for other in subscription["_items"]):
        message = f"An existing Subscription Item with price `{item['price']}` already exists on this subscription."
        raise invalid(message, f"{param}[price]")
    if subscription["status"] == "trialing":
        item["current_period_start"], item["current_period_end"] = moment, subscription["trial_end"]
    else:
        items.set_period(unit, subscription, item, moment)
    subscription["_items"].append(item)
    return item


def _remove(unit: Unit, subscription: Obj, item: Obj, moment: int, credits_due: bool) -> None:
    price = items.price_of(unit, item)
    if pricing.is_metered(price) and subscription["status"] != "trialing":
        for line in proration.metered_lines(unit, subscription, item, item["current_period_start"], moment):
            if line["amount"]:
                span = (line["period"]["start"], line["period"]["end"])
                billed_item = {**item, "quantity": line["quantity"]}
                proration.pending_item(
                    unit, subscription, billed_item, price, line["amount"], line["description"], span, proration=False, discountable=True
                )
    elif credits_due:
        proration.credit_unused(unit, subscription, item, moment)
    subscription["_items"].remove(item)
    unit.delete(item["id"])
