"""Processing of the inbox: failures, backoff, dead letters, replays, retention."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test import override_settings
from prometheus_client import generate_latest

from billing import maintenance, tasks
from billing.errors import StripeUnavailable
from billing.inbound import process_events
from billing.models import SubscriptionState, WebhookEvent
from billing.sync import customer
from contextmcp.common.clock import now
from tests.factories.billing import Payer, price_of
from tests.support.stripe import jobs, post, run, work

pytestmark = pytest.mark.django_db


def context(attempts=0, lock="cus_1"):
    return SimpleNamespace(job=SimpleNamespace(id=1, attempts=attempts, lock=lock))


def decide(error, attempts, lock="cus_1"):
    return tasks.STRIPE_RETRY.get_retry_decision(exception=error, job=context(attempts, lock).job)


def test_attempts_are_spaced_and_limited():
    waits = [decide(ValueError(), attempts) for attempts in range(9)]
    assert all(waits[:7]) and waits[7:] == [None, None]
    spaces = [(each.retry_at - now()).total_seconds() for each in waits[:7]]
    assert spaces == sorted(spaces)
    assert waits[0].lock == "cus_1:again"
    assert decide(ValueError(), 1, "cus_1:again").lock == "cus_1:again"
    assert decide(ValueError(), 1, None).lock is None


def test_during_an_outage_retries_are_unlimited():
    late = decide(StripeUnavailable(), 5000)
    assert timedelta(seconds=25) < late.retry_at - now() < timedelta(seconds=31)


def test_failing_event_does_not_delay_others(stripe_world, payer, stranger, monkeypatch):
    other = Payer.make(stripe_world, stranger.organization)
    stripe_world.subscribe(payer.customer, price_of())
    stripe_world.subscribe(other.customer, price_of())
    for event in stripe_world.new_events():
        post(event)
    real = customer.fetch.fetch_snapshot

    def poisoned(customer_id, *args):
        if customer_id == payer.customer:
            raise ValueError("poison")
        return real(customer_id, *args)

    monkeypatch.setattr(customer.fetch, "fetch_snapshot", poisoned)
    for attempt in range(tasks.MAX_ATTEMPTS):
        with pytest.raises(ValueError, match="poison"):
            tasks.process_pending_events.func(context(attempt), subject=payer.customer)
    tasks.process_pending_events.func(context(), subject=other.customer)
    assert other.plan == "pro"
    dead = WebhookEvent.objects.dead()
    assert {event.subject for event in dead} == {payer.customer}
    assert all("ValueError: poison" in event.error and event.attempts == tasks.MAX_ATTEMPTS for event in dead)
    monkeypatch.undo()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    assert process_events.replay_events(list(dead)) == 1
    assert work() == 1
    assert payer.plan == "pro"
    assert not WebhookEvent.objects.dead().exists()


def test_jobs_catch_up_after_ten_minutes_of_outage(payer, api, owner):
    payer.buy()
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"cancel_at_period_end": True})
    events = payer.world.new_events()
    payer.world.control("down", on=True)
    for event in events:
        assert post(event).status_code == 200
    with pytest.raises(StripeUnavailable):
        tasks.process_pending_events.func(context(), subject=payer.customer)
    waiting = WebhookEvent.objects.pending().filter(subject=payer.customer)
    assert waiting.exists() and all("StripeUnavailable" in event.error for event in waiting)
    assert api.get("/api/billing/subscription", by=owner).json()["plan"] == "pro"
    payer.world.control("down", on=False)
    work()
    assert SubscriptionState.objects.get().cancel_at


def test_pending_events_without_a_job_are_requeued(payer):
    payer.world.subscribe(payer.customer, price_of())
    for event in payer.world.new_events():
        post(event)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    run("billing.requeue_stranded_events", timestamp=0)
    assert not jobs()
    WebhookEvent.objects.update(received_at=now() - timedelta(minutes=2))
    run("billing.requeue_stranded_events", timestamp=0)
    assert payer.customer in {args.get("subject") for _, _, args in jobs()}
    assert maintenance.requeue_stranded_events() == 0
    work()
    assert payer.plan == "pro"


def test_old_events_are_deleted_and_dead_ones_kept(payer):
    payer.buy()
    dead = WebhookEvent.objects.first()
    WebhookEvent.objects.filter(pk=dead.pk).update(state="dead")
    total = WebhookEvent.objects.count()
    WebhookEvent.objects.update(received_at=now() - timedelta(days=91))
    run("billing.purge_events", timestamp=0)
    assert list(WebhookEvent.objects.all()) == [dead]
    assert total > 1


def test_catalog_events_are_mirrored(stripe_world):
    from djstripe.models import Coupon, Product

    created = stripe_world.sdk.products.create({"name": "Something"})
    coupon = stripe_world.sdk.coupons.create({"percent_off": 5, "duration": "once"})
    stripe_world.deliver()
    assert Product.objects.filter(id=created.id).exists()
    assert Coupon.objects.filter(id=coupon.id).exists()
    stripe_world.sdk.coupons.delete(coupon.id)
    stripe_world.deliver()
    assert not Coupon.objects.filter(id=coupon.id).exists()


def test_a_foreign_refund_is_ignored(stripe_world):
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "refund.created",
        "created": 1_800_000_000,
        "data": {"object": {"object": "refund", "id": "re_1", "charge": "ch_none"}},
    }
    stripe_world.deliver([event, event | {"id": "evt_2", "data": {"object": {"object": "refund", "id": "re_2", "charge": None}}}])
    assert set(WebhookEvent.objects.filter(subject__in=["re_1", "re_2"]).values_list("state", flat=True)) == {"ignored"}


def test_the_lag_is_measured(payer):
    payer.world.subscribe(payer.customer, price_of())
    for event in payer.world.new_events():
        post(event)
    WebhookEvent.objects.update(received_at=now() - timedelta(seconds=90))
    text = generate_latest().decode()
    waiting = next(line for line in text.splitlines() if line.startswith('billing_inbox_events{state="pending"}'))
    assert float(waiting.split()[-1]) > 5
    lag = next(line for line in text.splitlines() if line.startswith("billing_inbox_lag_seconds "))
    assert 89 < float(lag.split()[-1]) < 120


def test_without_a_key_events_wait(payer):
    payer.world.subscribe(payer.customer, price_of())
    for event in payer.world.new_events():
        post(event)
    with override_settings(STRIPE_SECRET_KEY=""), pytest.raises(Exception, match="billing_not_configured"):
        work()
    assert WebhookEvent.objects.pending().exists()


def test_every_job_of_a_service_is_a_task():
    from procrastinate.contrib.django import app

    for name in ("process_events", "sync_customer", "pay_open_invoices", "cancel_for_policy", "reconcile_organization"):
        assert f"billing.{name}" in app.tasks
