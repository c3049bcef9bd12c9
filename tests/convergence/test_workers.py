"""The same with real workers that race and die."""

from random import Random

import pytest

from tests.convergence import racing, rows, trial, worlds
from tests.convergence.worlds import Chaos
from tests.support.workers import workers

__all__ = ["workers"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos, pytest.mark.timeout(300)]


def test_workers_that_race_and_are_killed_end_alike(stripe_configured, workers) -> None:
    dice = Random(7)
    told = trial.perform(stripe_configured, [(0, dice.randrange(2**16)) for _ in range(12)])
    chaos = Chaos(seed=7, copies=3, drop=0.2, shuffle=True, late=True)
    race = racing.run(told, workers, workers=2, kills=2, chaos=chaos)
    assert race.killed == 2 and race.dead == 0
    ordered = worlds.play(told, Chaos())
    assert not ordered.wrong
    assert rows.differences(ordered.rows, race.world.rows) == [], told.told()
