"""Promotion codes: look one up at Stripe and calculate its effect on the price of a plan, before anything is bought.

Stripe decides again when the Checkout session is created. The restrictions are those of
https://docs.stripe.com/billing/subscriptions/coupons#promotion-codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from accounts.models import Organization
from billing.amounts import after_discounts
from billing.catalog import prices
from billing.customers import find_account
from billing.errors import PromotionCodeExpired, PromotionCodeRefused, UnknownPromotionCode
from billing.models import PlanPrice
from billing.stripe.gateway import checkout
from billing.types import PromotionEffect
from contextmcp.common.clock import now


def find_promotion(code: str) -> dict[str, Any]:
    """Return the active promotion code with its coupon expanded. Raises `UnknownPromotionCode`, `PromotionCodeExpired`."""
    promotion = checkout.promotion_code(code)
    if promotion is None:
        raise UnknownPromotionCode
    if not promotion["active"]:
        raise PromotionCodeExpired
    return promotion


def promotion_effect(organization: Organization, plan: str, interval: str, code: str) -> PromotionEffect:
    """Return what a plan would cost with a promotion code.

    Raises `PlanNotSold`, `UnknownPromotionCode`, `PromotionCodeExpired`, or `PromotionCodeRefused` if it is not for this purchase.
    """
    price = prices.sellable_price(plan, interval)
    promotion = find_promotion(code)
    coupon = promotion["promotion"]["coupon"]
    if any(_expiries(organization, promotion, coupon)):
        raise PromotionCodeExpired
    if any(_restrictions(organization, price, promotion, coupon)):
        raise PromotionCodeRefused
    months = coupon["duration_in_months"] if coupon["duration"] == "repeating" else None
    return PromotionEffect(
        code=promotion["code"],
        amount=price.amount,
        discounted_amount=after_discounts(price.amount, [coupon], price.currency, None),
        currency=price.currency,
        interval=interval,
        payments=_payments(coupon["duration"], months, interval),
        percent_off=coupon["percent_off"],
        amount_off=coupon["amount_off"],
        months=months,
    )


def _payments(duration: str, months: int | None, interval: str) -> int | None:
    """Return the number of reduced payments; None for all. A discount for months ends that many months after it starts."""
    if duration == "forever":
        return None
    if months is None:
        return 1
    return months if interval == "month" else -(-months // 12)


def _expiries(organization: Organization, promotion: dict[str, Any], coupon: dict[str, Any]) -> Iterator[bool]:
    present = int(now(organization).timestamp())
    yield not coupon["valid"]
    yield any(end is not None and end <= present for end in (promotion["expires_at"], coupon["redeem_by"]))
    for each in (promotion, coupon):
        yield each["max_redemptions"] is not None and each["times_redeemed"] >= each["max_redemptions"]


def _restrictions(organization: Organization, price: PlanPrice, promotion: dict[str, Any], coupon: dict[str, Any]) -> Iterator[bool]:
    limits = promotion["restrictions"]
    account = find_account(organization)
    yield promotion["customer"] not in (None, account.stripe_customer_id if account else None)
    yield limits["first_time_transaction"] and organization.invoices.filter(amount_paid__gt=0).exists()
    if limits["minimum_amount"] is not None:
        yield limits["minimum_amount_currency"] != price.currency or price.amount < limits["minimum_amount"]
    yield coupon["amount_off"] is not None and coupon["currency"] != price.currency
    products = (coupon.get("applies_to") or {}).get("products") or [price.stripe_product_id]
    yield price.stripe_product_id not in products
