"""Decisions without a database: for any batch, allowed amounts fit the limits, and the changes written match the results."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from accounts.errors import KeyRevoked
from contextmcp.common.errors import NotFound
from contextmcp.common.pg_binary import to_pg_micros
from entitlements.periods import Period
from entitlements.types import FeatureEntitlement, Kind
from tests.support.properties import given, st
from usage.decision.decide import decide
from usage.decision.results import Authorized, EventsRecorded, HoldSettled
from usage.decision.rows import Counter, GaugeRow, HoldRow, IdempotencyRecord, LockedRows, rows_to_lock
from usage.decision.write_set import WriteSet
from usage.errors import IdempotencyConflict, LimitReached, OverageCapReached, QuotaExceeded
from usage.types import AuthorizeCommand, Event, EventBatch, EventStatus, Gauge, NewHold, Quota, SettleHold, UsageSubject

ORGANIZATION = UUID(int=7).bytes
KEY = UUID(int=8).bytes
WHO = UsageSubject(ORGANIZATION, KEY, 1)
NOW = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
MOMENT = to_pg_micros(NOW)
PERIOD = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
COUNTER = (ORGANIZATION, "sessions", PERIOD.start)


def entitlement(limit, *, unit=2):
    return FeatureEntitlement("sessions", Kind.QUOTA, True, limit, PERIOD.start, overage_unit_amount=unit, overage_currency="usd")


def ask(amount=1, *, limit=50, digest=None, hold=None, fingerprint=b"f", gauge=None):
    parts = [Quota("sessions", amount, entitlement(limit), PERIOD)]
    if gauge is not None:
        parts.append(Gauge("projects", gauge, 10))
    return AuthorizeCommand(WHO, NOW, parts, len(parts) == 1, fingerprint, digest, hold)


def state(used=0, held=0, *, cap=None, gauge=0):
    return LockedRows(
        counters={COUNTER: Counter(1, used, held, cap, "usd" if cap is not None else None)},
        gauges={(ORGANIZATION, "projects"): GaugeRow(5, gauge)},
        active_keys={KEY},
    )


asks = st.builds(
    ask,
    st.integers(1, 20),
    limit=st.just(50),
    digest=st.none() | st.sampled_from([b"1" * 16, b"2" * 16, b"3" * 16]),
    hold=st.none() | st.builds(NewHold, st.uuids(version=4), st.just(NOW)),
    fingerprint=st.sampled_from([b"same....", b"other..."]),
    gauge=st.none() | st.integers(1, 5),
)


@given(st.lists(asks, max_size=25), st.integers(0, 60), st.integers(0, 10), st.none() | st.integers(0, 40), st.integers(0, 12))
def test_admitted_amounts_fit_and_are_written(jobs, used, held, cap, gauge):
    result, tally = state(used, held, cap=cap, gauge=gauge), WriteSet()
    outcomes = decide(jobs, result, tally)
    ceiling = 50 + (cap // 2 if cap is not None else 0)
    fresh = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if isinstance(outcome, Authorized) and outcome.answer]
    counter = result.counters[COUNTER]
    acquired = sum(job.items[0].amount for job, _ in fresh if job.hold is None)
    reserved = sum(job.items[0].amount for job, _ in fresh if job.hold is not None)
    assert (counter.used, counter.held) == (used + acquired, held + reserved)
    assert counter.used + counter.held <= max(ceiling, used + held)
    assert tally.counters.get(1, [0, 0, 0]) == [acquired, reserved, 0]
    assert sum(tally.amounts) == acquired == sum(total[0] for total in tally.hours.values())
    assert len(tally.holds) == sum(job.hold is not None for job, _ in fresh)
    gauges = sum(job.items[1].amount for job, _ in fresh if len(job.items) > 1)
    assert result.gauges[ORGANIZATION, "projects"].value == gauge + gauges
    assert tally.gauges.get(5, 0) == gauges
    keys = [job.digest for job, _ in fresh if job.digest is not None]
    assert len(keys) == len(set(keys)) == len(tally.seen)
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.digest in keys and not any(outcome is one for _, one in fresh) and isinstance(outcome, Authorized):
            first = next(one for other, one in fresh if other.digest == job.digest)
            assert outcome.body == first.body


@given(st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.none() | st.sampled_from([b"1" * 16, b"2" * 16])), max_size=25))
def test_events_ignore_limits_and_count_once_per_key(amounts):
    events = [Event("sessions", amount, MOMENT, b"%8d" % amount, PERIOD, digest) for amount, digest in amounts]
    result, tally = state(50), WriteSet()
    (counted,) = decide([EventBatch(WHO, events)], result, tally)
    accepted = [event for event, one in zip(events, counted.outcomes, strict=True) if one.status is EventStatus.ACCEPTED]
    used, total = 50, 0
    for event, one in zip(events, counted.outcomes, strict=True):
        if one.status is EventStatus.ACCEPTED:
            assert one.applied == (None if event.amount > 0 else max(event.amount, -used))
            used += event.amount if one.applied is None else one.applied
    total = used - 50
    assert result.counters[COUNTER].used == used
    assert total == sum(tally.amounts)
    assert [event for event in events if event.digest is None] == [event for event in accepted if event.digest is None]
    for (verdict, error, _), event in zip(counted.outcomes, events, strict=True):
        if verdict is EventStatus.REFUSED:
            assert isinstance(error, IdempotencyConflict)
            assert event.digest is not None


def test_every_refusal_has_its_class():
    revoked = state()
    revoked.active_keys = set()
    assert isinstance(decide([ask()], revoked, WriteSet())[0], KeyRevoked)
    assert isinstance(decide([EventBatch(WHO, [])], revoked, WriteSet())[0], KeyRevoked)
    assert isinstance(decide([ask()], state(50), WriteSet())[0], QuotaExceeded)
    assert isinstance(decide([ask()], state(60, cap=20), WriteSet())[0], OverageCapReached)
    assert isinstance(decide([ask(gauge=2)], state(gauge=9), WriteSet())[0], LimitReached)


def test_overage_requires_a_price_in_the_caps_currency():
    result = state(50, cap=1000)
    result.counters[COUNTER].currency = "eur"
    assert isinstance(decide([ask()], result, WriteSet())[0], QuotaExceeded)
    unpriced = AuthorizeCommand(WHO, NOW, [Quota("sessions", 1, entitlement(50, unit=None), PERIOD)], True, b"f")
    assert isinstance(decide([unpriced], state(50, cap=1000), WriteSet())[0], QuotaExceeded)


def test_counter_with_holds_is_reported_so_that_expired_ones_are_queried():
    full, held = state(50), state(49, 1)
    decide([ask()], full, WriteSet())
    decide([ask()], held, WriteSet())
    assert full.counters_with_holds == set()
    assert held.counters_with_holds == {COUNTER}


def test_a_hold_is_settled_once():
    hold_id = uuid4()

    def settle(amount):
        return SettleHold(WHO, hold_id, "sessions", PERIOD, amount)

    result, tally = state(0, 5), WriteSet()
    result.holds[hold_id] = HoldRow(WHO, 5, "held", None, NOW)
    first, again, other, unknown = decide([settle(3), settle(3), settle(4), SettleHold(WHO, uuid4(), "sessions", PERIOD, 1)], result, tally)
    assert isinstance(first, HoldSettled)
    assert first == again
    assert other.code == "hold_already_ended"
    assert isinstance(unknown, NotFound)
    assert (result.counters[COUNTER].used, result.counters[COUNTER].held) == (3, 0)
    assert tally.ended == [(hold_id.bytes, "settled", 3)]


def test_needed_rows_are_sorted():
    later = Period(PERIOD.end, PERIOD.end + timedelta(days=30))
    jobs = [
        EventBatch(WHO, [Event("sessions", 1, MOMENT, b"", later, b"9" * 16), Event("sessions", 1, MOMENT, b"", PERIOD, b"1" * 16)]),
        ask(digest=b"5" * 16, gauge=1),
        EventBatch(WHO, [Event("context_queries", 1, MOMENT, b"", PERIOD)]),
        SettleHold(UsageSubject(ORGANIZATION), UUID(int=3), "sessions", PERIOD, 1),
    ]
    expected = rows_to_lock(jobs)
    queries = (ORGANIZATION, "context_queries", PERIOD.start)
    assert list(expected.counters) == [queries, COUNTER, (ORGANIZATION, "sessions", later.start)]
    assert [key[16:] for key in expected.keys] == [b"1" * 16, b"5" * 16, b"9" * 16]
    assert expected.gauges == [(ORGANIZATION, "projects")]
    assert (expected.active_keys, expected.holds) == ([KEY], [UUID(int=3)])


@pytest.mark.parametrize("answer", [None, '{"allowed":true}'])
def test_a_known_key_returns_the_stored_response(answer):
    result = state()
    result.keys[ORGANIZATION + b"1" * 16] = IdempotencyRecord(b"f", answer)
    (outcome,) = decide([ask(digest=b"1" * 16)], result, WriteSet())
    assert isinstance(outcome, Authorized)
    assert outcome.replayed
    assert b'"allowed":true' in outcome.body
    assert isinstance(decide([EventBatch(WHO, [])], result, WriteSet())[0], EventsRecorded)
