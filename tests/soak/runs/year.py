"""Bill a year of 1,000 organizations on test clocks: the overage on their invoices equals that of the raw events, to the cent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from billing.catalog import publish
from tests.chaos import year_of_billing
from tests.chaos.year_of_billing import Year
from tests.soak import services, worker_process
from tests.soak.metrics import Figures
from tests.soak.options import Options, say

ORGANIZATIONS, MONTHS, AT_A_TIME = 1000, 12, 25


def run(options: Options) -> Figures:
    years = [Year(**each) for part in worker_process.out("year", options) for each in part]
    figures = Figures()
    figures.at_least("organizations", sum(each.organizations for each in years), _organization_count(options))
    figures.at_least("months of each organization", min(each.months for each in years), MONTHS)
    figures.add("raw events", sum(each.events for each in years))
    figures.add("lines of overage", sum(each.lines for each in years))
    figures.add("lines at the cap", sum(each.capped for each in years))
    figures.add("total overage billed", f"${sum(each.billed for each in years) / 100:,.2f}")
    figures.none("lines that differ", [line for each in years for line in each.failures])
    return figures


def part(options: Options, place: int, of: int) -> list[dict[str, Any]]:
    """Return every `of`-th organization."""
    mine, years = range(place, _organization_count(options), of), list[Year]()
    for first in range(0, len(mine), AT_A_TIME):
        # Start with an empty simulator from time to time: a long history only makes lists longer.
        with services.stripe() as world:
            publish.publish_catalog()
            world.new_events()
            years.append(year_of_billing.play(world, mine[first : first + AT_A_TIME], MONTHS, options.seed))
            years[-1].failures += world.findings()
        say(f"  {place + 1} of {of}: {sum(each.organizations for each in years)} organizations, {len(years[-1].failures)} mismatches")
    return [asdict(each) for each in years]


def _organization_count(options: Options) -> int:
    return options.organizations or options.many(ORGANIZATIONS)
