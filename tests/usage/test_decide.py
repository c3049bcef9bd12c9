"""Decisions, tried without any database: whatever the batch, what is admitted fits, and what is written is what was said."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import KeyRevoked
from contextmcp.common.errors import NotFound
from entitlements.periods import Period
from entitlements.types import Allowance, Kind
from usage.binary import microseconds
from usage.decide import Counted, Granted, Settled, decide
from usage.errors import IdempotencyConflict, LimitReached, OverageCapReached, QuotaExceeded
from usage.rows import Counter, HoldRow, LevelRow, Seen, State, needs
from usage.tally import Tally
from usage.types import Ask, Event, HoldFor, Level, Quota, Report, Settlement, Verdict, Who

ORGANIZATION = UUID(int=7).bytes
KEY = UUID(int=8).bytes
WHO = Who(ORGANIZATION, KEY, 1)
NOW = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
MOMENT = microseconds(NOW)
PERIOD = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
COUNTER = (ORGANIZATION, "sessions", PERIOD.start)


def allowance(limit, *, unit=2):
    return Allowance("sessions", Kind.QUOTA, True, limit, PERIOD.start, overage_unit_amount=unit, overage_currency="usd")


def ask(amount=1, *, limit=50, digest=None, hold=None, fingerprint=b"f", level=None):
    parts = [Quota("sessions", amount, allowance(limit), PERIOD)]
    if level is not None:
        parts.append(Level("projects", level, 10))
    return Ask(WHO, NOW, parts, len(parts) == 1, fingerprint, digest, hold)


def state(used=0, held=0, *, cap=None, level=0):
    return State(
        counters={COUNTER: Counter(1, used, held, cap, "usd" if cap is not None else None)},
        levels={(ORGANIZATION, "projects"): LevelRow(5, level)},
        live={KEY},
    )


asks = st.builds(
    ask,
    st.integers(1, 20),
    limit=st.just(50),
    digest=st.none() | st.sampled_from([b"1" * 16, b"2" * 16, b"3" * 16]),
    hold=st.none() | st.builds(HoldFor, st.uuids(version=4), st.just(NOW)),
    fingerprint=st.sampled_from([b"same....", b"other..."]),
    level=st.none() | st.integers(1, 5),
)


@given(st.lists(asks, max_size=25), st.integers(0, 60), st.integers(0, 10), st.none() | st.integers(0, 40), st.integers(0, 12))
def test_what_is_admitted_fits_and_what_is_written_is_what_was_said(jobs, used, held, cap, level):
    found, tally = state(used, held, cap=cap, level=level), Tally()
    outcomes = decide(jobs, found, tally)
    ceiling = 50 + (cap // 2 if cap is not None else 0)
    fresh = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if isinstance(outcome, Granted) and outcome.answer]
    counter = found.counters[COUNTER]
    taken = sum(job.parts[0].amount for job, _ in fresh if job.hold is None)
    reserved = sum(job.parts[0].amount for job, _ in fresh if job.hold is not None)
    assert (counter.used, counter.held) == (used + taken, held + reserved)
    assert counter.used + counter.held <= max(ceiling, used + held)
    assert tally.counters.get(1, [0, 0]) == [taken, reserved]
    assert sum(tally.amounts) == taken == sum(total[0] for total in tally.hours.values())
    assert len(tally.holds) == sum(job.hold is not None for job, _ in fresh)
    levels = sum(job.parts[1].amount for job, _ in fresh if len(job.parts) > 1)
    assert found.levels[ORGANIZATION, "projects"].value == level + levels
    assert tally.levels.get(5, 0) == levels
    keys = [job.digest for job, _ in fresh if job.digest is not None]
    assert len(keys) == len(set(keys)) == len(tally.seen)
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.digest in keys and not any(outcome is one for _, one in fresh) and isinstance(outcome, Granted):
            first = next(one for other, one in fresh if other.digest == job.digest)
            assert outcome.body == first.body


@given(st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.none() | st.sampled_from([b"1" * 16, b"2" * 16])), max_size=25))
def test_events_are_never_refused_for_a_limit_and_each_key_counts_once(amounts):
    events = [Event("sessions", amount, MOMENT, b"%8d" % amount, digest, period=PERIOD) for amount, digest in amounts]
    found, tally = state(50), Tally()
    (counted,) = decide([Report(WHO, events)], found, tally)
    accepted = [event for event, (verdict, _) in zip(events, counted.verdicts, strict=True) if verdict is Verdict.ACCEPTED]
    assert found.counters[COUNTER].used - 50 == sum(event.amount for event in accepted) == sum(tally.amounts)
    assert [event for event in events if event.digest is None] == [event for event in accepted if event.digest is None]
    for (verdict, error), event in zip(counted.verdicts, events, strict=True):
        if verdict is Verdict.REFUSED:
            assert isinstance(error, IdempotencyConflict)
            assert event.digest is not None


def test_every_reason_has_its_class():
    revoked = state()
    revoked.live = set()
    assert isinstance(decide([ask()], revoked, Tally())[0], KeyRevoked)
    assert isinstance(decide([Report(WHO, [])], revoked, Tally())[0], KeyRevoked)
    assert isinstance(decide([ask()], state(50), Tally())[0], QuotaExceeded)
    assert isinstance(decide([ask()], state(60, cap=20), Tally())[0], OverageCapReached)
    assert isinstance(decide([ask(level=2)], state(level=9), Tally())[0], LimitReached)


def test_another_currency_or_no_price_is_no_agreement():
    found = state(50, cap=1000)
    found.counters[COUNTER].currency = "eur"
    assert isinstance(decide([ask()], found, Tally())[0], QuotaExceeded)
    unpriced = Ask(WHO, NOW, [Quota("sessions", 1, allowance(50, unit=None), PERIOD)], True, b"f")
    assert isinstance(decide([unpriced], state(50, cap=1000), Tally())[0], QuotaExceeded)


def test_a_crowded_counter_is_told_so_that_expired_holds_are_looked_for():
    full, held = state(50), state(49, 1)
    decide([ask()], full, Tally())
    decide([ask()], held, Tally())
    assert full.crowded == set()
    assert held.crowded == {COUNTER}


def test_a_hold_is_settled_once():
    hold_id = uuid4()

    def settle(amount):
        return Settlement(WHO, hold_id, "sessions", PERIOD, amount)

    found, tally = state(0, 5), Tally()
    found.holds[hold_id] = HoldRow(WHO, 5, "held", None, NOW)
    first, again, other, unknown = decide([settle(3), settle(3), settle(4), Settlement(WHO, uuid4(), "sessions", PERIOD, 1)], found, tally)
    assert isinstance(first, Settled)
    assert first == again
    assert other.code == "conflict"
    assert isinstance(unknown, NotFound)
    assert (found.counters[COUNTER].used, found.counters[COUNTER].held) == (3, 0)
    assert tally.ended == [(hold_id.bytes, "settled", 3)]


def test_what_is_needed_is_sorted_so_that_batches_lock_in_one_order():
    later = Period(PERIOD.end, PERIOD.end + timedelta(days=30))
    jobs = [
        Report(
            WHO, [Event("sessions", 1, MOMENT, b"", b"9" * 16, period=later), Event("sessions", 1, MOMENT, b"", b"1" * 16, period=PERIOD)]
        ),
        ask(digest=b"5" * 16, level=1),
        Report(WHO, [Event("context_queries", 1, MOMENT, b"")]),
        Settlement(Who(ORGANIZATION), UUID(int=3), "sessions", PERIOD, 1),
    ]
    wanted = needs(jobs)
    assert list(wanted.counters) == [COUNTER, (ORGANIZATION, "sessions", later.start)]
    assert [key[16:] for key in wanted.keys] == [b"1" * 16, b"5" * 16, b"9" * 16]
    assert wanted.levels == [(ORGANIZATION, "projects")]
    assert (wanted.live, wanted.holds) == ([KEY], [UUID(int=3)])


@pytest.mark.parametrize("answer", [None, '{"allowed":true}'])
def test_a_key_seen_before_is_answered_from_what_was_kept(answer):
    found = state()
    found.keys[ORGANIZATION + b"1" * 16] = Seen(b"f", answer)
    (outcome,) = decide([ask(digest=b"1" * 16)], found, Tally())
    assert isinstance(outcome, Granted)
    assert outcome.replayed
    assert b'"allowed":true' in outcome.body
    assert isinstance(decide([Report(WHO, [])], found, Tally())[0], Counted)
