"""Process a thousand events of a hundred customers at once, two of which always fail: the queue drains, and no other customer waits."""

from __future__ import annotations

from billing.catalog import publish
from tests.convergence import burst
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options

EVENTS, CUSTOMERS, POISONED = 1000, 100, 2


def run(options: Options) -> Figures:
    events, number = options.many(EVENTS), options.many(CUSTOMERS, minimum=4)
    with services.stripe() as world, services.workers(world, options.logs / "burst") as start:
        publish.publish_catalog()
        customers = burst.subscribers(world, number)
        result = burst.send(world, customers, start, events=events, poisoned=POISONED, workers=2)
        problems = burst.unprocessed_events()
    figures = Figures()
    figures.at_least("events", result.events, events)
    figures.at_least("customers", result.customers, number)
    figures.add("seconds to accept the events", result.taken_in)
    figures.add("seconds to process the events", result.drained_in)
    figures.at_most("dead letters", result.dead, 0)
    figures.at_least("customers that have their plan", result.entitled, number - POISONED)
    named = {(customer, True, "DataError") for customer in result.poisoned}
    figures.none("poisoned customers without a recorded error", [str(each) for each in named ^ problems])
    return figures
