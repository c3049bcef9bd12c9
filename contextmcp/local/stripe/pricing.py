"""What a quantity of a price costs, and how its invoice line reads."""

from dataclasses import dataclass
from decimal import Decimal

from contextmcp.local.stripe import money
from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.unit import Unit


@dataclass(frozen=True)
class Charge:
    """One line's worth: what is asked, for how many, at what each."""

    amount: int
    quantity: int
    unit: Decimal | None
    note: str


def unit_amount(price: Obj) -> Decimal:
    return Decimal(price.get("unit_amount_decimal") or price.get("unit_amount") or 0)


def interval(price: Obj) -> tuple[str, int]:
    recurring = price["recurring"]
    return recurring["interval"], recurring["interval_count"]


def every(price: Obj) -> str:
    if not price.get("recurring"):
        return ""
    name, count = interval(price)
    return f" / {name}" if count == 1 else f" every {count} {name}s"


def is_metered(price: Obj) -> bool:
    return bool(price.get("recurring")) and price["recurring"]["usage_type"] == "metered"


def charges(price: Obj, quantity: Decimal) -> list[Charge]:
    """The lines of a quantity: one for a plain price, one for each tier that a graduated price reaches."""
    if price["billing_scheme"] == "tiered":
        return _tiered(price, quantity)
    counted = _transformed(price, quantity)
    each = unit_amount(price)
    note = f"(at {money.spoken(each, price['currency'])}{every(price)})"
    return [Charge(money.whole(each * counted), int(quantity), each, note)]


def _transformed(price: Obj, quantity: Decimal) -> Decimal:
    rule = price.get("transform_quantity")
    if not rule:
        return quantity
    groups, rest = divmod(quantity, Decimal(rule["divide_by"]))
    return groups + 1 if rest and rule["round"] == "up" else groups


def _tiered(price: Obj, quantity: Decimal) -> list[Charge]:
    currency, tiers = price["currency"], price["_tiers"]
    if price["tiers_mode"] == "volume":
        number, tier = next((n, t) for n, t in enumerate(tiers, 1) if t["up_to"] is None or quantity <= t["up_to"])
        return _tier_charges(tier, quantity, number, currency, price)
    out: list[Charge] = []
    floor = Decimal(0)
    for number, tier in enumerate(tiers, 1):
        top = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        if top > floor or (number == 1 and quantity == 0):
            out += _tier_charges(tier, max(top - floor, Decimal(0)), number, currency, price)
        floor = max(floor, top)
    return out


def _tier_charges(tier: Obj, quantity: Decimal, number: int, currency: str, price: Obj) -> list[Charge]:
    each = Decimal(tier.get("unit_amount_decimal") or 0)
    note = f"(Tier {number} at {money.spoken(each, currency)}{every(price)})"
    out = [Charge(money.whole(each * quantity), int(quantity), each, note)]
    if flat := Decimal(tier.get("flat_amount_decimal") or 0):
        out.append(Charge(money.whole(flat), 1 if quantity else 0, flat, f"(Tier {number} flat fee)"))
    return out


def full_amount(price: Obj, quantity: int) -> int:
    return sum(charge.amount for charge in charges(price, Decimal(quantity)))


def name(unit: Unit, price: Obj) -> str:
    product = unit.get(price["product"])
    return str(product["name"]) if product and not product.get("deleted") else price.get("nickname") or "Subscription"
