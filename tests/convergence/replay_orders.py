"""Play one history in order and in other orders, and compare the results."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from billing.catalog import publish
from billing.models import PlanPrice
from tests.convergence import delivery_harness, history, rows
from tests.convergence.delivery_harness import Chaos, World
from tests.convergence.stripe_fixture import Scenario
from tests.factories.accounts import OrganizationFactory
from tests.support.stripe import Stripe

DELAYED = Chaos(seed=11, copies=3, drop=0.2, shuffle=True, late=True)
AFTERWARDS = Chaos(seed=12, copies=3, drop=0.2, shuffle=True, afterwards=True)


@dataclass
class Outcome:
    history: history.History
    problems: list[str] = field(default_factory=list)
    deliveries: int = 0
    dropped: int = 0
    compared: int = 0
    checks: int = 0
    announced: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return len(self.history.steps)

    def describe(self) -> str:
        return "\n".join([f"{len(self.problems)} problems", *self.problems[:40], self.history.describe()])


def run(
    world: Stripe, draws: list[tuple[int, int]], *, finals: str = "cancel", chaos: tuple[Chaos, ...] = (DELAYED, AFTERWARDS)
) -> Outcome:
    """Perform the history at an empty Stripe, play it in order and in every other way, and require the same result."""
    started = time.monotonic()
    outcome = Outcome(perform(world, draws, finals=finals))
    outcome.seconds["performed"] = time.monotonic() - started
    ordered = _play(outcome, Chaos(), "in order")
    for way in chaos:
        other = _play(outcome, way, f"seed {way.seed}")
        outcome.deliveries += other.deliveries
        outcome.dropped += other.dropped
        outcome.compared += len(ordered.rows)
        outcome.problems += [f"seed {way.seed}: {each}" for each in rows.differences(ordered.rows, other.rows)]
    return outcome


def perform(world: Stripe, draws: list[tuple[int, int]], *, finals: str = "cancel") -> history.History:
    """Return an empty Stripe with the published catalog and organizations of its own."""
    world.server.reset()
    world.last_event_id = ""
    rows.forget()
    PlanPrice.objects.all().delete()
    publish.publish_catalog()
    organizations = [str(OrganizationFactory().pk) for _ in range(history.ORGANIZATIONS)]
    return history.perform(Scenario(world, organizations), draws, finals=finals)


def _play(outcome: Outcome, chaos: Chaos, name: str) -> World:
    started = time.monotonic()
    world = delivery_harness.play(outcome.history, chaos)
    outcome.seconds[name] = time.monotonic() - started
    outcome.checks += world.checks
    outcome.announced += world.announced
    outcome.problems += [f"{name}: {each}" for each in world.failures]
    return world
