"""Stripe is unavailable for ten minutes: answers come from the mirror, events are stored, and everything is updated automatically later."""

from __future__ import annotations

from billing.catalog import publish
from tests.convergence import outage
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options

SECONDS = 600.0


def run(options: Options) -> Figures:
    seconds = max(3.0, SECONDS * options.scale)
    with services.stripe() as world, services.workers(world, options.logs / "outage") as start:
        publish.publish_catalog()
        result = outage.run(world, start, seconds=seconds, organizations=5, rounds=max(2, int(seconds / 10)))
    figures = Figures()
    figures.at_least("seconds without Stripe", round(result.seconds), round(seconds))
    figures.add("answers during the outage", sum(result.answers.values()))
    figures.at_most("slowest answer, in seconds", result.slowest, 5.0)
    figures.add("deliveries accepted", result.accepted)
    figures.at_most("seconds until everything was up to date", result.caught_up_in, 90.0)
    figures.none("failures", result.failures)
    return figures
