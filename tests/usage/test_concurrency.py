"""Exactly N of many concurrent requests are allowed when N units are left."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from contextmcp.common.errors import DomainError
from tests.factories.accounts import OrganizationFactory
from tests.factories.usage import UsageCounterFactory, UsageGaugeFactory
from usage.authorize.requests import Request
from usage.ingest import event_parsing
from usage.models import IdempotencyKey, UsageCounter, UsageEvent, UsageGauge, UsageSummary
from usage.tracker import UsageTracker
from usage.types import Item

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 10


@pytest.fixture
def org():
    return OrganizationFactory()


def at_once(work, count, threads=THREADS):
    """Call `work(number)` for each number in threads with their own connections, which start together. Return the results or codes."""
    gate = threading.Barrier(threads)

    def run(first):
        gate.wait()
        messages = []
        try:
            for number in range(first, count, threads):
                try:
                    messages.append(work(number))
                except DomainError as refusal:
                    messages.append(refusal.code)
        finally:
            connection.close()
        return messages

    with ThreadPoolExecutor(threads) as pool:
        return [one for part in pool.map(run, range(threads)) for one in part]


@pytest.mark.parametrize(("remaining", "calls"), [(1, 50), (10, 60), (49, 100)])
def test_concurrent_calls_use_exactly_the_remaining_quota(org, remaining, calls):
    UsageCounterFactory(organization=org, used=50 - remaining)

    def call(_):
        UsageTracker(org).consume("sessions")
        return "ok"

    output = at_once(call, calls)
    assert output.count("ok") == remaining
    assert output.count("quota_exceeded") == calls - remaining
    assert UsageCounter.objects.get(organization=org).used == 50
    assert UsageEvent.objects.filter(organization=org).count() == remaining
    assert {row.amount for row in UsageSummary.objects.filter(organization=org, grain="d")} == {remaining}


def test_concurrent_first_calls_create_one_counter(org):
    output = at_once(lambda _: UsageTracker(org).consume("sessions") and "ok", 20)
    assert output == ["ok"] * 20
    assert UsageCounter.objects.get(organization=org).used == 20


def test_one_idempotency_key_counts_once_under_concurrency(org):
    def call(number):
        return UsageTracker(org).authorize(Request([Item("sessions")]), f"key-{number % 4}").body

    output = at_once(call, 60)
    assert len(set(output)) == 4
    assert UsageCounter.objects.get(organization=org).used == 4
    assert IdempotencyKey.objects.filter(organization_id=org.pk).count() == 4


def test_one_key_for_different_features_counts_for_one(org):
    """The calls share no counter, so only the key prevents double counting."""

    def call(number):
        feature = ("sessions", "projects")[number % 2]
        return UsageTracker(org).authorize(Request([Item(feature)]), "key").answer and feature

    output = at_once(call, 20)
    assert output.count("idempotency_conflict") == 10
    gauge = sum(UsageGauge.objects.filter(organization=org).values_list("value", flat=True))
    counted = sum(UsageCounter.objects.filter(organization=org).values_list("used", flat=True))
    assert gauge + counted == 1


def test_concurrent_batches_count_each_event_once(org):
    events = [event_parsing.EventBody("sessions", idempotency_key=f"e{number}") for number in range(200)]

    def call(number):
        some = events[number * 10 :] + events[: number * 10]
        UsageTracker(org).record_events(some if number % 2 else some[::-1])
        return "ok"

    assert at_once(call, 20) == ["ok"] * 20
    assert UsageCounter.objects.get(organization=org).used == 200
    assert UsageEvent.objects.filter(organization=org).count() == 200


def test_gauges_are_exact_under_concurrency(org):
    UsageGaugeFactory(organization=org, feature="best_practices", value=7)

    def call(_):
        UsageTracker(org).consume("best_practices")
        return "ok"

    assert at_once(call, 40).count("ok") == 3
    assert UsageGauge.objects.get(organization=org).value == 10


def test_holds_and_calls_share_the_quota(org):
    UsageCounterFactory(organization=org, used=40)

    def call(number):
        tracker = UsageTracker(org)
        if number % 2:
            return tracker.consume("sessions") and 1
        granted = tracker.hold("sessions", 1)
        tracker.settle(granted.answer.hold.id, 1)
        return 1

    assert at_once(call, 40).count(1) == 10
    row = UsageCounter.objects.get(organization=org)
    assert (row.used, row.held) == (50, 0)
