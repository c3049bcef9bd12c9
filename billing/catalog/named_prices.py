"""Validation of the price ids in the environment: a price must match the amount and interval that the catalog shows to customers.

The messages are for the operator. They name the setting, the value at Stripe and the expected value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings

from billing.documents.stripe_documents import reference_id
from billing.stripe.gateway import catalog as gateway
from contextmcp.common.money import decimal_amount
from entitlements.catalog import CATALOG, Catalog, Plan

PRODUCT_PREFIX = "contextmcp_"


def setting_name(plan: str, interval: str) -> str:
    """Return the environment variable that can configure the price id of a plan and interval; empty if the catalog names none."""
    return CATALOG.price_id_variables.get((plan, interval), "")


def configured_price_id(plan: str, interval: str) -> str:
    """Return the price id that the environment configures for a plan and interval; empty if it configures none."""
    price_id: str = settings.STRIPE_PRICE_IDS.get(setting_name(plan, interval), "")
    return price_id


def unknown_variables() -> Iterator[str]:
    """Yield a message for each configured price id that belongs to no price of the catalog, for example after a spelling mistake."""
    for setting in sorted(settings.STRIPE_PRICE_IDS.keys() - set(CATALOG.price_id_variables.values())):
        yield f"{setting} is set, but no price of the catalog names it as its price_id_variable. Correct the name, or unset it."


def problems(catalog: Catalog = CATALOG) -> Iterator[str]:
    """Yield a message for each configured price that does not match the catalog. Calls Stripe.

    Raises `StripeUnavailable`, `BillingNotConfigured`.
    """
    settings_by_price: dict[str, str] = {}
    for (name, interval), setting in catalog.price_id_variables.items():
        price_id = settings.STRIPE_PRICE_IDS.get(setting)
        if not price_id:
            continue
        if price_id in settings_by_price:
            yield f"{setting} is set to {price_id}, as is {settings_by_price[price_id]}. Use a different price for each setting."
            continue
        settings_by_price[price_id] = setting
        if reason := find_mismatch(catalog.plan(name), interval, gateway.price(price_id)):
            yield f"{setting} is set to {price_id}, which {reason}. Use a price that matches the plan, or leave the setting empty."


def billing_frequency(interval: str) -> str:
    """Return "monthly" or "yearly" for an interval of a plan's price, and other intervals unchanged."""
    return {"month": "monthly", "year": "yearly"}.get(interval, interval)


def find_mismatch(plan: Plan, interval: str, price: dict[str, Any] | None) -> str:
    """Return why a Stripe price (with its product expanded) does not match the plan and interval; empty if it matches."""
    catalog_price = plan.price(interval)
    if catalog_price is None:
        return f"is configured for {plan.title} ({billing_frequency(interval)}), which the catalog does not offer"
    if price is None or price.get("deleted"):
        return "does not exist at Stripe in this mode (test or live)"
    recurring = price.get("recurring") or {}
    if not recurring:
        return "is charged once, not every " + interval
    if (recurring["interval"], recurring["interval_count"]) != (interval, 1):
        count = recurring["interval_count"]
        return f"is charged every {count} {recurring['interval']}{'s' if count != 1 else ''}, not every {interval}"
    return _kind(price, recurring) or _product(plan, price) or _amount(plan, price, catalog_price.amount, catalog_price.currency, interval)


def _kind(price: dict[str, Any], recurring: dict[str, Any]) -> str:
    if not price["active"]:
        return "is archived"
    if recurring["usage_type"] != "licensed":
        return "is metered"
    if price["billing_scheme"] != "per_unit":
        return "is tiered"
    if price.get("transform_quantity"):
        return "is charged per package of units"
    if price["unit_amount"] is None:
        return f"costs a fraction of the currency's smallest unit ({price.get('unit_amount_decimal') or 'custom amount'})"
    return ""


def _product(plan: Plan, price: dict[str, Any]) -> str:
    product = price["product"]
    identifier = reference_id(product)
    if isinstance(product, dict) and not product.get("active", True):
        return f"belongs to the archived product {identifier}"
    other_product = identifier.startswith(PRODUCT_PREFIX) and identifier != f"{PRODUCT_PREFIX}{plan.name}"
    if other_product or (price.get("metadata") or {}).get("plan", plan.name) != plan.name:
        return f"belongs to another product ({identifier})"
    return ""


def _amount(plan: Plan, price: dict[str, Any], amount: int, currency: str, interval: str) -> str:
    if (price["unit_amount"], price["currency"]) == (amount, currency):
        return ""
    actual, expected = _money(price["unit_amount"], price["currency"]), _money(amount, currency)
    return f"costs {actual} per {interval}, while the catalog shows {plan.title} at {expected}"


def _money(minor: int, currency: str) -> str:
    return f"{decimal_amount(minor, currency)} {currency.upper()}"
