"""Plans changed at random moments: the preview equals the invoice, to the cent, 1,000 times."""

from __future__ import annotations

from billing.services import publish
from tests.convergence import amounts
from tests.convergence.amounts import Amounts
from tests.soak import stage
from tests.soak.figures import Figures
from tests.soak.options import Options, say

CHANGES = 1000
AT_A_TIME = 100


def run(options: Options) -> Figures:
    wanted, found = options.many(CHANGES), list[Amounts]()
    while (made := sum(each.changes for each in found)) < wanted:
        # A fresh Stripe now and then: a long past makes every list longer, and proves nothing.
        with stage.stripe() as world:
            publish.publish()
            found.append(amounts.compare(world, min(AT_A_TIME, wanted - made), seed=options.seed * 1000 + len(found)))
        say(f"  {made + found[-1].changes} changes, {len(found[-1].wrong)} wrong")
    figures = Figures()
    figures.at_least("changes", sum(each.changes for each in found), wanted)
    figures.tell("at once, billed with proration", sum(each.at_once for each in found))
    figures.tell("of them with a discount", sum(each.discounted for each in found))
    figures.tell("of them a credit", sum(each.credited for each in found))
    figures.tell("at the period's end", sum(each.planned for each in found))
    figures.tell("billed in all", f"${sum(each.total for each in found) / 100:,.2f}")
    figures.none("previews that did not agree", [line for each in found for line in each.wrong])
    return figures
