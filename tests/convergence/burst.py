"""Receive a thousand events at once, a few of which always fail: how long the processing takes, and who is delayed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from django.db import connection, connections

from billing import customers
from billing.models import SubscriptionState, WebhookEvent
from tests.convergence.concurrent_workers import awake
from tests.factories.accounts import OrganizationFactory
from tests.factories.billing import price_of
from tests.support.stripe import Stripe, post
from tests.support.workers import Worker

SENDERS = 8


@dataclass
class Burst:
    """Seconds to receive the events and to process them. `jobs` is the number of jobs."""

    events: int
    customers: int
    taken_in: float = 0.0
    drained_in: float = 0.0
    dead: int = 0
    waiting: int = 0
    poisoned: list[str] = field(default_factory=list)
    entitled: int = 0


def subscribers(world: Stripe, number: int) -> list[str]:
    """Create this many customers with a subscription each, of which the product has not received events yet."""
    created = []
    for _ in range(number):
        customer = str(customers.ensure_customer(OrganizationFactory(), None).stripe_customer_id)
        world.card(customer)
        world.subscribe(customer, price_of())
        created.append(customer)
    return created


def break_customer(world: Stripe, customer: str) -> None:
    """Let Stripe return a value for this customer that cannot be stored: a currency of ten letters."""
    store = world.server.sim.store
    with store.lock:
        for row in store.all("SELECT id, body FROM objects WHERE customer = ? AND object = 'subscription'", (customer,)):
            spoilt = json.dumps(json.loads(row["body"]) | {"currency": "x" * 10})
            store.run("UPDATE objects SET body = ? WHERE id = ?", (spoilt, row["id"]))


def repair(world: Stripe, customer: str) -> None:
    store = world.server.sim.store
    with store.lock:
        store.run("UPDATE objects SET body = replace(body, ?, 'usd') WHERE customer = ? AND object = 'subscription'", ("x" * 10, customer))


def send(world: Stripe, result: list[str], start: Callable[[], Worker], *, events: int, poisoned: int = 0, workers: int = 1) -> Burst:
    """Post `events` events from several senders at once, in an order that mixes the customers; then wait."""
    burst = Burst(events, len(result), poisoned=result[:poisoned])
    for customer in burst.poisoned:
        break_customer(world, customer)
    messages = [event for event in world.new_events() if _customer(event) in set(result)]
    messages.sort(key=lambda event: event["id"])
    # If there are too few, copies with other IDs are added, like Stripe's updates without changes.
    chosen = [event | {"id": f"{event['id']}{number}"} for number, event in enumerate(islice(cycle(messages), events))]
    awake([start() for _ in range(workers)])
    started = time.monotonic()
    with ThreadPoolExecutor(SENDERS) as senders:
        assert set(senders.map(_send, chosen)) == {200}
        list(senders.map(lambda _: connections.close_all(), range(SENDERS)))
    burst.taken_in = time.monotonic() - started
    others = WebhookEvent.objects.pending().exclude(subject__in=burst.poisoned)
    while others.exists():
        assert time.monotonic() - started < 300, f"{others.count()} events still wait"
        time.sleep(0.05)
    burst.drained_in = time.monotonic() - started
    burst.dead = WebhookEvent.objects.dead().count()
    burst.waiting = WebhookEvent.objects.pending().count()
    burst.entitled = SubscriptionState.objects.filter(status="active", organization__grants__ends_at=None).distinct().count()
    return burst


def _customer(event: dict[str, Any]) -> str:
    thing = event["data"]["object"]
    return thing["id"] if thing["object"] == "customer" else str(thing.get("customer"))


def _send(event: dict[str, Any]) -> int:
    return int(post(event).status_code)


def unprocessed_events() -> set[tuple[str, bool, str]]:
    """Return the unprocessed events: their customers, whether they were attempted, and the recorded error."""
    rows = WebhookEvent.objects.pending().values_list("subject", "attempts", "error")
    return {(subject, attempts > 0, error.partition(":")[0]) for subject, attempts, error in rows}


def jobs_run() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'billing' AND status = 'succeeded'")
        return int(cursor.fetchone()[0])
