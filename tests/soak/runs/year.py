"""A year of 1,000 organizations on test clocks: their invoices' lines of overage equal a calculation from the raw events, to the cent."""

from __future__ import annotations

from billing.services import publish
from tests.chaos import year
from tests.chaos.year import Year
from tests.soak import stage
from tests.soak.figures import Figures
from tests.soak.options import Options, say

ORGANIZATIONS, MONTHS, AT_A_TIME = 1000, 12, 10


def run(options: Options) -> Figures:
    wanted, found = options.organizations or options.many(ORGANIZATIONS), list[Year]()
    while (made := sum(each.organizations for each in found)) < wanted:
        # A fresh Stripe now and then: a long past makes every list longer, and proves nothing.
        with stage.stripe() as world:
            publish.publish()
            world.news()
            found.append(year.play(world, min(AT_A_TIME, wanted - made), MONTHS, options.seed * 1000 + len(found)))
            found[-1].wrong += world.findings()
        say(f"  {made + found[-1].organizations} organizations, {len(found[-1].wrong)} wrong")
    figures = Figures()
    figures.at_least("organizations", sum(each.organizations for each in found), wanted)
    figures.at_least("months of each", MONTHS, 12)
    figures.tell("raw events", sum(each.events for each in found))
    figures.tell("lines of overage", sum(each.lines for each in found))
    figures.tell("of them at the cap", sum(each.capped for each in found))
    figures.tell("overage billed in all", f"${sum(each.billed for each in found) / 100:,.2f}")
    figures.none("lines that did not agree", [line for each in found for line in each.wrong])
    return figures
