"""A year of 1,000 organizations on test clocks: their invoices' lines of overage equal a calculation from the raw events, to the cent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from billing.services import publish
from tests.chaos import year
from tests.chaos.year import Year
from tests.soak import share, stage
from tests.soak.figures import Figures
from tests.soak.options import Options, say

ORGANIZATIONS, MONTHS, AT_A_TIME = 1000, 12, 25


def run(options: Options) -> Figures:
    found = [Year(**each) for part in share.out("year", options) for each in part]
    figures = Figures()
    figures.at_least("organizations", sum(each.organizations for each in found), _wanted(options))
    figures.at_least("months of each", min(each.months for each in found), MONTHS)
    figures.tell("raw events", sum(each.events for each in found))
    figures.tell("lines of overage", sum(each.lines for each in found))
    figures.tell("of them at the cap", sum(each.capped for each in found))
    figures.tell("overage billed in all", f"${sum(each.billed for each in found) / 100:,.2f}")
    figures.none("lines that did not agree", [line for each in found for line in each.wrong])
    return figures


def part(options: Options, place: int, of: int) -> list[dict[str, Any]]:
    """Every `of`-th organization."""
    mine, found = range(place, _wanted(options), of), list[Year]()
    for first in range(0, len(mine), AT_A_TIME):
        # A fresh Stripe now and then: a long past makes every list longer, and proves nothing.
        with stage.stripe() as world:
            publish.publish()
            world.news()
            found.append(year.play(world, mine[first : first + AT_A_TIME], MONTHS, options.seed))
            found[-1].wrong += world.findings()
        say(f"  {place + 1} of {of}: {sum(each.organizations for each in found)} organizations, {len(found[-1].wrong)} wrong")
    return [asdict(each) for each in found]


def _wanted(options: Options) -> int:
    return options.organizations or options.many(ORGANIZATIONS)
