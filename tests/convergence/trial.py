"""One history, played in order and in other ways, and what differed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from billing.models import PlanPrice
from billing.services import publish
from tests.convergence import history, rows, worlds
from tests.convergence.scene import Scene
from tests.convergence.worlds import Chaos, World
from tests.factories.accounts import OrganizationFactory
from tests.support.stripe import Stripe

LATE = Chaos(seed=11, copies=3, drop=0.2, shuffle=True, late=True)
AFTERWARDS = Chaos(seed=12, copies=3, drop=0.2, shuffle=True, afterwards=True)


@dataclass
class Outcome:
    history: history.History
    problems: list[str] = field(default_factory=list)
    deliveries: int = 0
    dropped: int = 0
    compared: int = 0
    checks: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return len(self.history.steps)

    def told(self) -> str:
        return "\n".join([f"{len(self.problems)} problems", *self.problems[:40], self.history.told()])


def run(world: Stripe, draws: list[tuple[int, int]], *, finals: str = "cancel", chaos: tuple[Chaos, ...] = (LATE, AFTERWARDS)) -> Outcome:
    """Perform it at an empty Stripe, play it in order and in every other way; everything must end alike."""
    began = time.monotonic()
    outcome = Outcome(perform(world, draws, finals=finals))
    outcome.seconds["performed"] = time.monotonic() - began
    ordered = _play(outcome, Chaos(), "in order")
    for way in chaos:
        other = _play(outcome, way, f"seed {way.seed}")
        outcome.deliveries += other.deliveries
        outcome.dropped += other.dropped
        outcome.compared += len(ordered.rows)
        outcome.problems += [f"seed {way.seed}: {each}" for each in rows.differences(ordered.rows, other.rows)]
    return outcome


def perform(world: Stripe, draws: list[tuple[int, int]], *, finals: str = "cancel") -> history.History:
    """At an empty Stripe with the catalogue published, by organizations of its own."""
    world.server.reset()
    world.heard = ""
    rows.forget()
    PlanPrice.objects.all().delete()
    publish.publish()
    organizations = [str(OrganizationFactory().pk) for _ in range(history.ORGANIZATIONS)]
    return history.perform(Scene(world, organizations), draws, finals=finals)


def _play(outcome: Outcome, chaos: Chaos, name: str) -> World:
    began = time.monotonic()
    world = worlds.play(outcome.history, chaos)
    outcome.seconds[name] = time.monotonic() - began
    outcome.checks += world.checks
    outcome.problems += [f"{name}: {each}" for each in world.wrong]
    return world
