"""Simulate years of subscriptions: the recurring revenue of each day equals that of Stripe's own objects, to the cent."""

from __future__ import annotations

from billing.catalog import publish
from tests.convergence import revenue_prices
from tests.convergence.revenue_year import Result, RevenueYear
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options, say

YEARS, BUYERS, DAYS = 10, 12, 365


def run(options: Options) -> Figures:
    results = list[Result]()
    for number in range(options.many(YEARS)):
        # Start with an empty simulator: a long history only makes lists longer.
        with services.stripe() as world:
            publish.publish_catalog()
            year = RevenueYear(world, revenue_prices.publish(world), buyers=BUYERS, days=DAYS, seed=options.seed * 1000 + number)
            results.append(year.play())
        say(f"  {number + 1} years, {len(results[-1].failures)} mismatches")
    figures = Figures()
    figures.at_least("years", len(results), options.many(YEARS))
    figures.add("changes of subscriptions", sum(sum(each.actions.values()) for each in results))
    figures.add("movements", sum(sum(each.movements.values()) for each in results))
    figures.add("compared figures", sum(each.compared for each in results))
    figures.add("compared invoices", sum(each.invoices for each in results))
    figures.none("days and invoices that differ", [line for each in results for line in each.failures])
    return figures
