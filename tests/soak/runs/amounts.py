"""Change plans at random times: the preview equals the invoice, to the cent, 1,000 times."""

from __future__ import annotations

from billing.catalog import publish
from tests.convergence import amounts
from tests.convergence.amounts import Amounts
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options, say

CHANGES = 1000
AT_A_TIME = 100


def run(options: Options) -> Figures:
    target, results = options.many(CHANGES), list[Amounts]()
    while (done := sum(each.changes for each in results)) < target:
        # Start with an empty simulator from time to time: a long history only makes lists longer.
        with services.stripe() as world:
            publish.publish_catalog()
            results.append(amounts.compare(world, min(AT_A_TIME, target - done), seed=options.seed * 1000 + len(results)))
        say(f"  {done + results[-1].changes} changes, {len(results[-1].failures)} mismatches")
    figures = Figures()
    figures.at_least("changes", sum(each.changes for each in results), target)
    figures.add("immediate, billed with proration", sum(each.at_once for each in results))
    figures.add("immediate, with a discount", sum(each.discounted for each in results))
    figures.add("immediate, with a credit", sum(each.credited for each in results))
    figures.add("at the period's end", sum(each.planned for each in results))
    figures.add("in free days", sum(each.free_days for each in results))
    figures.add("with another item on the subscription", sum(each.with_other_item for each in results))
    figures.add("total billed", f"${sum(each.total for each in results) / 100:,.2f}")
    figures.none("previews that differ from the invoice", [line for each in results for line in each.failures])
    return figures
