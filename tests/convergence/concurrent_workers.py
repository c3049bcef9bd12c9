"""Several real workers on one queue, killed at random times, while the events of a history arrive."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from django.db import connection

from billing.models import WebhookEvent
from entitlements.cache import CACHE
from tests.convergence import delivery_harness, reconciling, rows
from tests.convergence.delivery_harness import Chaos, World
from tests.convergence.history import History, Step
from tests.support.stripe import post
from tests.support.workers import Worker

UNFINISHED_JOBS = "status IN ('todo', 'doing') AND queue_name = 'billing'"


@dataclass
class Race:
    """The result of the workers."""

    world: World
    killed: int = 0
    drained_in: float = 0.0
    dead: int = 0


def run(history: History, start: Callable[[], Worker], *, workers: int, kills: int, chaos: Chaos, pace: float = 0.1) -> Race:
    """Deliver as `chaos` describes, a batch every `pace` seconds, and kill and replace a worker at `kills` of the steps.

    Adds what the workers did at Stripe themselves to the history, so that it can be compared with a run in order.
    """
    rows.forget()
    CACHE.reset()
    race, rng = Race(World()), Random(chaos.seed)
    running = [start() for _ in range(workers)]
    awake(running)
    victim = set(rng.sample(range(1, len(history.steps)), min(kills, len(history.steps) - 1)))
    for number, (step, events) in enumerate(delivery_harness.deliveries(history, chaos, rng, race.world)):
        delivery_harness.arrive(history, step)
        for event in events:
            assert post(event).status_code == 200
            race.world.deliveries += 1
        time.sleep(rng.random() * pace)
        if step.night:
            reconciling.reconcile()
        if number in victim:
            running.pop(rng.randrange(len(running))).kill()
            race.killed += 1
            running.append(start())
    race.drained_in = drained()
    reconciling.reconcile()
    drained()
    for worker in running:
        worker.stop()
    race.dead = WebhookEvent.objects.dead().count()
    last = history.steps[-1]
    history.steps.append(
        Step(None, "the workers' own doing", history.scenario.new_events(), history.scenario.dump_state(), last.expected, last.moments)
    )
    reconciling.reconcile()
    delivery_harness.run_pending_jobs()
    race.world.rows = delivery_harness.ending()
    return race


def drained(seconds: float = 180.0) -> float:
    """Wait until no job is queued or running. Return the elapsed time."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if not WebhookEvent.objects.pending().exists() and not _queued():
            return time.monotonic() - started
        time.sleep(0.1)
    raise AssertionError(f"after {seconds:.0f} s {WebhookEvent.objects.pending().count()} events wait, {_queued()} jobs are queued")


def _queued() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM procrastinate_jobs WHERE {UNFINISHED_JOBS}")
        return int(cursor.fetchone()[0])


def awake(running: list[Worker]) -> None:
    """Wait until all workers have registered, because only then do they compete."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '10 seconds'")
            if cursor.fetchone()[0] >= len(running):
                return
        time.sleep(0.1)
    raise AssertionError("the workers do not start")
