"""Convergence with real workers that compete and are killed."""

from random import Random

import pytest

from tests.convergence import concurrent_workers, delivery_harness, replay_orders, rows
from tests.convergence.delivery_harness import Chaos
from tests.support.workers import workers

__all__ = ["workers"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos, pytest.mark.timeout(300)]


def test_concurrent_and_killed_workers_lead_to_the_same_state(stripe_configured, workers) -> None:
    rng = Random(7)
    result = replay_orders.perform(stripe_configured, [(0, rng.randrange(2**16)) for _ in range(12)])
    chaos = Chaos(seed=7, copies=3, drop=0.2, shuffle=True, late=True)
    race = concurrent_workers.run(result, workers, workers=2, kills=2, chaos=chaos)
    assert race.killed == 2 and race.dead == 0
    ordered = delivery_harness.play(result, Chaos())
    assert not ordered.failures
    assert rows.differences(ordered.rows, race.world.rows) == [], result.describe()
