"""Run the histories with two to four concurrent workers that are killed by `kill -9` at random times."""

from __future__ import annotations

from random import Random

from tests.convergence import concurrent_workers, delivery_harness, replay_orders, rows
from tests.convergence.delivery_harness import Chaos
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options, say

ROUNDS = 6
ACTIONS = 30


def run(options: Options) -> Figures:
    problems, killed, deliveries, dead, slowest = list[str](), 0, 0, 0, 0.0
    rounds, actions = options.many(ROUNDS), options.many(ACTIONS, minimum=6)
    with services.stripe() as world:
        for number in range(rounds):
            rng = Random(f"{options.seed}:{number}")
            history = replay_orders.perform(world, [(0, rng.randrange(2**16)) for _ in range(actions)])
            chaos = Chaos(seed=number, copies=3, drop=0.2, shuffle=True, late=True)
            with services.workers(world, options.logs / f"workers-{number}") as start:
                race = concurrent_workers.run(history, start, workers=2 + number % 3, kills=options.many(5), chaos=chaos, pace=0.5)
            ordered = delivery_harness.play(history, Chaos())
            mismatches = ordered.failures + rows.differences(ordered.rows, race.world.rows)
            killed, deliveries, dead = killed + race.killed, deliveries + race.world.deliveries, dead + race.dead
            slowest = max(slowest, race.drained_in)
            problems += mismatches
            say(
                f"  {number + 1}: {2 + number % 3} workers, {race.killed} killed, {race.world.deliveries} deliveries, "
                f"{len(mismatches)} problems"
            )
            if mismatches:
                say("\n".join([*mismatches[:20], history.describe()]))
    figures = Figures()
    figures.add("rounds", rounds)
    figures.add("deliveries", deliveries)
    figures.at_least("workers killed", killed, rounds)
    figures.add("seconds until the queue was empty, at most", slowest)
    figures.at_most("dead letters", dead, 0)
    figures.none("differences to the run in order", problems)
    return figures
