"""A thousand events for a hundred customers at once, two of the customers poison: it drains, and nobody waits for them."""

from __future__ import annotations

from billing.services import publish
from tests.convergence import burst
from tests.soak import stage
from tests.soak.figures import Figures
from tests.soak.options import Options

EVENTS, CUSTOMERS, POISONED = 1000, 100, 2


def run(options: Options) -> Figures:
    events, number = options.many(EVENTS), options.many(CUSTOMERS, least=4)
    with stage.stripe() as world, stage.workers(world, options.logs / "burst") as start:
        publish.publish()
        found = burst.subscribers(world, number)
        told = burst.send(world, found, start, events=events, poisoned=POISONED, workers=2)
        complaints = burst.complaints()
    figures = Figures()
    figures.at_least("events", told.events, events)
    figures.at_least("customers", told.customers, number)
    figures.tell("seconds to take them in", told.taken_in)
    figures.tell("seconds to work them off", told.drained_in)
    figures.at_most("dead letters", told.dead, 0)
    figures.at_least("customers that have their plan", told.entitled, number - POISONED)
    named = {(customer, True, "DataError") for customer in told.poisoned}
    figures.none("poisoned customers that wait without saying why", [str(each) for each in named ^ complaints])
    return figures
