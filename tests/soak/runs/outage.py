"""Stripe away for ten minutes: everything answers from the mirror, news are taken in, and all catches up by itself."""

from __future__ import annotations

from billing.services import publish
from tests.convergence import outage
from tests.soak import stage
from tests.soak.figures import Figures
from tests.soak.options import Options

SECONDS = 600.0


def run(options: Options) -> Figures:
    seconds = max(3.0, SECONDS * options.scale)
    with stage.stripe() as world, stage.workers(world, options.logs / "outage") as start:
        publish.publish()
        found = outage.run(world, start, seconds=seconds, organizations=5, rounds=max(2, int(seconds / 10)))
    figures = Figures()
    figures.at_least("seconds without Stripe", round(found.seconds), round(seconds))
    figures.tell("answers meanwhile", sum(found.answers.values()))
    figures.at_most("the slowest of them, in seconds", found.slowest, 5.0)
    figures.tell("deliveries taken in", found.accepted)
    figures.at_most("seconds until all had caught up", found.caught_up_in, 90.0)
    figures.none("what was not as it should be", found.wrong)
    return figures
