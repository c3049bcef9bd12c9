"""Prices in two currencies: those of two versions of a plan, and unpublished prices of its products in euros."""

from __future__ import annotations

from typing import Any

import msgspec

from billing.catalog import publish as catalog_publish
from billing.models import PlanPrice
from entitlements import catalog
from entitlements.catalog_schema import Price
from tests.convergence.revenue_actions import Prices
from tests.support.stripe import Stripe


def publish(world: Stripe) -> Prices:
    """Publish a second version of the cheapest paid plan, create prices in euros, and return the price IDs by currency and name."""
    plans = {plan.name: plan for plan in catalog.CATALOG.plans}
    newer = msgspec.structs.replace(plans["pro"], version=2, prices=(Price("month", 1237, "usd"), Price("year", 12_001, "usd")))
    changed = tuple(newer if plan.name == "pro" else plan for plan in catalog.CATALOG.plans)
    catalog_publish.publish_catalog(msgspec.structs.replace(catalog.CATALOG, plans=changed))
    rows = PlanPrice.objects.exclude(interval=PlanPrice.OVERAGE).select_related("plan_version")
    rows = rows.order_by("plan_version__plan", "plan_version__version", "interval", "amount")
    prices: Prices = {"usd": {f"{row.plan_version} {row.interval} {row.amount}": row.stripe_price_id for row in rows}, "eur": {}}
    for interval, amount in (("month", 899), ("year", 8_123)):
        for row in rows.filter(current=True, interval="month"):
            params: Any = {
                "product": row.stripe_product_id,
                "unit_amount": amount + row.amount,
                "currency": "eur",
                "recurring": {"interval": interval},
            }
            prices["eur"][f"{row.plan_version} {interval}"] = world.sdk.prices.create(params).id
    world.new_events()
    return prices
