"""Apply coupons: which discounts are active, and how much each takes off the lines of an invoice."""

from collections.abc import Sequence
from decimal import Decimal

from stripe_simulator import money, periods
from stripe_simulator.defaults import new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.types import Obj, Params, id_of, new_id
from stripe_simulator.unit_of_work import Unit


def promotion_of(unit: Unit, code: str, param: str = "promotion_code") -> Obj:
    promotion = unit.require("promotion_code", code, param)
    over = promotion["max_redemptions"] is not None and promotion["times_redeemed"] >= promotion["max_redemptions"]
    late = promotion["expires_at"] is not None and promotion["expires_at"] <= unit.now(promotion["customer"])
    coupon = unit.get(promotion["promotion"]["coupon"])
    if not promotion["active"] or over or late or coupon is None or not coupon.get("valid"):
        raise invalid("This promotion code cannot be redeemed because it is no longer active.", param, "promotion_code_inactive")
    return promotion


def check(
    unit: Unit, params: Params, customer: str | None, amount: int | None = None, currency: str | None = None
) -> tuple[Obj, Obj | None]:
    """Return the coupon, and the promotion code if any, of `{coupon}` or `{promotion_code}`. Refuse it if it cannot be redeemed."""
    code = promotion_of(unit, params["promotion_code"]) if params.get("promotion_code") else None
    coupon = unit.require("coupon", (code["promotion"]["coupon"] if code else params.get("coupon")) or "", "discounts[0][coupon]")
    if code:
        redeemable(unit, code, customer, amount, currency)
    if not coupon["valid"] or (coupon["redeem_by"] is not None and coupon["redeem_by"] <= unit.now(customer)):
        raise invalid(f"Coupon {coupon['id']} is not valid", "coupon", "coupon_expired")
    if coupon["amount_off"] is not None and currency and coupon["currency"] != currency:
        message = f"The coupon {coupon['id']} cannot be used with the currency {currency}: it takes off an amount of {coupon['currency']}."
        raise invalid(message, "discounts[0][coupon]")
    return coupon, code


def redeemable(unit: Unit, code: Obj, customer: str | None, amount: int | None = None, currency: str | None = None) -> None:
    """Refuse a promotion code whose restrictions this customer or this order does not meet."""
    limits = code["restrictions"]
    if code["customer"] and code["customer"] != customer:
        raise invalid("This promotion code cannot be redeemed by this customer.", "promotion_code", "promotion_code_invalid")
    if limits["first_time_transaction"] and customer and any(c["paid"] for c in unit.find("charge", customer=customer)):
        message = "This promotion code cannot be redeemed because the associated customer has prior transactions."
        raise invalid(message, "promotion_code", "promotion_code_customer_not_first_time")
    other = currency and limits["minimum_amount"] is not None and limits["minimum_amount_currency"] != currency
    if amount is not None and limits["minimum_amount"] is not None and (other or amount < limits["minimum_amount"]):
        message = "This promotion code cannot be redeemed because the order is below its minimum amount."
        raise invalid(message, "promotion_code", "promotion_code_minimum_amount_not_met")


def create(
    unit: Unit,
    params: Params,
    customer: str,
    *,
    subscription: str | None = None,
    session: str | None = None,
    amount: int | None = None,
    currency: str | None = None,
) -> Obj:
    """Create a discount from `{coupon}` or `{promotion_code}` and count one redemption."""
    coupon, code = check(unit, params, customer, amount, currency)
    start = unit.now(customer)
    lasts = coupon["duration"] == "repeating"
    discount = unit.add(
        new_object(
            "discount",
            id=new_id("di", 24),
            checkout_session=session,
            customer=customer,
            end=periods.shift(start, "month", coupon["duration_in_months"]) if lasts else None,
            promotion_code=code and code["id"],
            source={"coupon": coupon["id"], "type": "coupon"},
            start=start,
            subscription=subscription,
        )
    )
    for counted in (coupon, *((code,) if code else ())):
        counted["times_redeemed"] += 1
        unit.save(counted)
    if coupon["max_redemptions"] is not None and coupon["times_redeemed"] >= coupon["max_redemptions"]:
        coupon["valid"] = False
    updated(unit, coupon)
    emit(unit, "customer.discount.created", discount)
    return discount


def active(unit: Unit, ids: Sequence[str], moment: int) -> list[Obj]:
    """Return the discounts that are active at a time."""
    objects = [unit.get(id) for id in ids]
    return [d for d in objects if d and not d.get("deleted") and (d["end"] is None or d["end"] > moment)]


def coupon_of(unit: Unit, discount: Obj) -> Obj:
    coupon = unit.get(id_of(discount["source"]["coupon"]) or "")
    return discount["_coupon"] if coupon is None or coupon.get("deleted") else coupon


def covers(coupon: Obj, product: str | None) -> bool:
    products = coupon.get("_products")
    return not products or product in products


def allocate(unit: Unit, discounts: Sequence[Obj], lines: list[Obj], currency: str) -> list[Obj]:
    """Allocate each discount to the lines and return the total of each discount."""
    totals: list[Obj] = []
    for line in lines:
        line["discount_amounts"] = []
    for discount in discounts:
        coupon = coupon_of(unit, discount)
        open_lines = [line for line in lines if line["discountable"] and covers(coupon, product_of(line))]
        left = [line["amount"] - sum(d["amount"] for d in line["discount_amounts"]) for line in open_lines]
        due = max(sum(left), 0)
        if coupon["percent_off"] is not None:
            off = money.round_half_up(Decimal(due) * Decimal(str(coupon["percent_off"])) / 100)
        else:
            off = min(due, coupon["amount_off"] if coupon["currency"] == currency else 0)
        for line, amount in zip(open_lines, money.divide(off, left) if due else [], strict=False):
            line["discount_amounts"].append({"amount": amount, "discount": discount["id"]})
        totals.append({"amount": off, "discount": discount["id"]})
    return totals


def product_of(line: Obj) -> str | None:
    details = (line.get("pricing") or {}).get("price_details") or {}
    return details.get("product")


def net(unit: Unit, discounts: Sequence[Obj], amount: int, product: str) -> int:
    """Return a prorated amount after the active percentage discounts (flexible billing: prorations include discounts)."""
    for discount in discounts:
        coupon = coupon_of(unit, discount)
        if coupon["percent_off"] is not None and covers(coupon, product):
            amount -= money.round_half_up(Decimal(amount) * Decimal(str(coupon["percent_off"])) / 100)
    return amount


def expire_used(unit: Unit, subscription: Obj, totals: Sequence[Obj]) -> None:
    """Remove discounts from a subscription that were for one invoice and have been used, or that have ended."""
    now = unit.now(subscription)
    used = {total["discount"] for total in totals if total["amount"]}
    remaining: list[str] = []
    for id in subscription["discounts"]:
        discount = unit.get(id)
        if discount is None:
            continue
        once = coupon_of(unit, discount)["duration"] == "once" and id in used
        if once or (discount["end"] is not None and discount["end"] <= now):
            discount["end"] = discount["end"] or now
            unit.save(discount)
            emit(unit, "customer.discount.deleted", discount)
        else:
            remaining.append(id)
    if remaining != subscription["discounts"]:
        subscription["discounts"] = remaining
        unit.save(subscription)
