"""Simulate years of subscriptions: the recurring revenue of each day equals that of Stripe's own objects, to the cent."""

from __future__ import annotations

from django.test import override_settings

from billing.catalog import publish
from tests.convergence import revenue_prices
from tests.convergence.revenue_year import Result, RevenueYear
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options, say

YEARS, BUYERS, DAYS = 10, 12, 365
POLICIES = ("cancel", "keep")  # what a full refund does (`BILLING_REFUND_POLICY`), in turn


def run(options: Options) -> Figures:
    results = list[Result]()
    for number in range(options.many(YEARS)):
        seed = options.seed * 1000 + number
        # Start with an empty simulator: a long history only makes lists longer.
        with services.stripe() as world, override_settings(BILLING_REFUND_POLICY=POLICIES[number % len(POLICIES)]):
            publish.publish_catalog()
            results.append(RevenueYear(world, revenue_prices.publish(world), buyers=BUYERS, days=DAYS, seed=seed).play())
        say(f"  {number + 1} years, {len(results[-1].failures)} mismatches with the seed {seed}")
    figures = Figures()
    figures.at_least("years", len(results), options.many(YEARS))
    figures.add("changes of subscriptions", sum(sum(each.actions.values()) for each in results))
    figures.add("events caused by the product", sum(each.by_product for each in results))
    figures.add("movements", sum(sum(each.movements.values()) for each in results))
    figures.add("compared figures", sum(each.compared for each in results))
    figures.at_least("compared invoices", sum(each.invoices for each in results), 15 * len(results))
    figures.none("days and invoices that differ", [line for each in results for line in each.failures])
    return figures
