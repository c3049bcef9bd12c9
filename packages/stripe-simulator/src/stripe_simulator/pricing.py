"""The cost of a quantity at a price, and the description of its invoice line."""

from dataclasses import dataclass
from decimal import Decimal

from stripe_simulator import money
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit


@dataclass(frozen=True)
class Charge:
    """The content of one invoice line: amount, quantity and unit amount."""

    amount: int
    quantity: int
    unit: Decimal | None
    note: str


def unit_amount(price: Obj) -> Decimal:
    return Decimal(price.get("unit_amount_decimal") or price.get("unit_amount") or 0)


def interval(price: Obj) -> tuple[str, int]:
    recurring = price["recurring"]
    return recurring["interval"], recurring["interval_count"]


def format_interval(price: Obj) -> str:
    if not price.get("recurring"):
        return ""
    name, count = interval(price)
    return f" / {name}" if count == 1 else f" every {count} {name}s"


def is_metered(price: Obj) -> bool:
    return bool(price.get("recurring")) and price["recurring"]["usage_type"] == "metered"


def charges(price: Obj, quantity: Decimal) -> list[Charge]:
    """Return the lines of a quantity: one for a standard price, one per tier reached for a graduated price."""
    if price["billing_scheme"] == "tiered":
        return _tiered_charges(price, quantity)
    counted = _transform_quantity(price, quantity)
    each = unit_amount(price)
    note = f"(at {money.format_amount(each, price['currency'])}{format_interval(price)})"
    return [Charge(money.round_half_up(each * counted), int(quantity), each, note)]


def _transform_quantity(price: Obj, quantity: Decimal) -> Decimal:
    rule = price.get("transform_quantity")
    if not rule:
        return quantity
    groups, rest = divmod(quantity, Decimal(rule["divide_by"]))
    return groups + 1 if rest and rule["round"] == "up" else groups


def _tiered_charges(price: Obj, quantity: Decimal) -> list[Charge]:
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
    note = f"(Tier {number} at {money.format_amount(each, currency)}{format_interval(price)})"
    out = [Charge(money.round_half_up(each * quantity), int(quantity), each, note)]
    if flat := Decimal(tier.get("flat_amount_decimal") or 0):
        out.append(Charge(money.round_half_up(flat), 1 if quantity else 0, flat, f"(Tier {number} flat fee)"))
    return out


def full_amount(price: Obj, quantity: int) -> int:
    return sum(charge.amount for charge in charges(price, Decimal(quantity)))


def name(unit: Unit, price: Obj) -> str:
    product = unit.get(price["product"])
    return str(product["name"]) if product and not product.get("deleted") else price.get("nickname") or "Subscription"
