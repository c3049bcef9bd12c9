"""Concurrency: what must hold when several processes act at the same time, or one dies."""

import threading

import pytest
from django.db import connection

from billing import customers
from billing.catalog import publish
from billing.models import Invoice, PlanPrice, SubscriptionState, WebhookEvent
from billing.sync import customer as sync
from billing.sync import fetch
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.support.stripe import jobs, post
from tests.support.workers import held, until, workers

__all__ = ["workers"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def customer(stripe_configured, acme) -> str:
    publish.publish_catalog()
    result = customers.ensure_customer(acme, None).stripe_customer_id
    stripe_configured.card(result)
    return result


def price(plan="pro") -> str:
    return PlanPrice.objects.get(plan_version__plan=plan, interval="month", current=True).stripe_price_id


class Staller:
    """Lets the first fetch read Stripe's state and then delays its result."""

    def __init__(self, monkeypatch):
        self.fetched, self.go_on = threading.Event(), threading.Event()
        self.fetch, self.first = fetch.fetch_snapshot, True
        monkeypatch.setattr(fetch, "fetch_snapshot", self)

    def __call__(self, *args):
        first, self.first = self.first, False
        result = self.fetch(*args)
        if first:
            self.fetched.set()
            assert self.go_on.wait(20)
        return result


def in_thread(function, *args):
    def run():
        try:
            function(*args)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def race(world, customer, monkeypatch) -> str:
    """One worker fetches and stalls, the subscription ends, another worker syncs, the first continues. Return the plan's status."""
    subscription = world.subscribe(customer, price())
    staller = Staller(monkeypatch)
    slow = in_thread(sync.sync_customer, customer)
    assert staller.fetched.wait(20)
    world.sdk.subscriptions.cancel(subscription.id)
    quick = in_thread(sync.sync_customer, customer)
    quick.join(1.5)
    staller.go_on.set()
    slow.join(20)
    quick.join(20)
    return SubscriptionState.objects.get().status


def test_a_stalled_worker_cannot_overwrite_newer_data(stripe_configured, acme, customer, monkeypatch):
    assert race(stripe_configured, customer, monkeypatch) == "canceled"
    assert EntitlementsManager(acme).entitlements().plan == "free"


def test_without_the_lock_newer_data_is_overwritten(stripe_configured, acme, customer, monkeypatch):
    """The test above fails without the lock."""
    monkeypatch.setattr(sync, "lock_customer", lambda subject: now())
    assert race(stripe_configured, customer, monkeypatch) == "active"


@pytest.mark.chaos
def test_a_killed_worker_loses_and_repeats_nothing(stripe_configured, acme, customer, workers):
    subscription = stripe_configured.subscribe(customer, price())
    for event in stripe_configured.new_events():
        post(event)
    with held("SELECT 1 FROM accounts_organization WHERE id = %s FOR UPDATE", [acme.pk]):
        # The worker has fetched and mirrored, and now waits for the organization's lock to write the grants.
        first = workers()
        until(lambda: doing() and waiting_for_a_row(), "the worker is in the middle", 60)
        first.kill()
    assert not SubscriptionState.objects.exists()
    assert WebhookEvent.objects.pending().exists()
    second = workers()
    until(lambda: not WebhookEvent.objects.pending().exists(), "everything is processed", 45)
    assert SubscriptionState.objects.get().stripe_subscription_id == subscription.id
    assert EntitlementsManager(acme).entitlements().plan == "pro"
    assert acme.grants.count() == 1
    assert Invoice.objects.count() == 1
    until(lambda: not jobs("billing.process_events"), "the queue is empty")
    second.stop()
    assert not WebhookEvent.objects.dead().exists()


def doing() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing' AND task_name = 'billing.process_events'")
        return bool(cursor.fetchone()[0])


def waiting_for_a_row() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
            "AND query LIKE '%%accounts_organization%%FOR NO KEY UPDATE%%'"
        )
        return bool(cursor.fetchone()[0])
