"""Who may take what, decided for a batch, in order. Nothing here reads a clock, a database or a socket.

An executor (`usage.store`, or the gate's) reads and locks what `needs` names, has `decide` decide, and writes the `Tally`, in one
transaction. A batch of one and a batch of hundreds take the same way.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from accounts.errors import KeyRevoked
from contextmcp.common.errors import Conflict, DomainError, NotFound, until

from . import encoding
from .errors import IdempotencyConflict, LimitReached, OverageCapReached, QuotaExceeded
from .tally import Tally
from .types import (
    NO_KEY,
    Answer,
    Answers,
    Ask,
    CounterKey,
    Event,
    Flag,
    GiveBack,
    HoldAnswer,
    ItemAnswer,
    Job,
    Kind,
    Level,
    Part,
    Quota,
    Rate,
    Report,
    Settlement,
    Verdict,
    Who,
)

LevelKey = tuple[UUID, str]
DigestKey = tuple[UUID, bytes]


class Counter(Struct):
    """A locked counter. `cap_minor` of None: nothing is sold beyond the limit."""

    id: int
    used: int
    held: int
    cap_minor: int | None = None
    currency: str | None = None


class LevelRow(Struct):
    id: int
    value: int


class Seen(Struct):
    """An idempotency key that was used."""

    fingerprint: bytes
    answer: str | None


class HoldRow(Struct):
    who: Who
    amount: int
    state: str
    settled_amount: int | None
    created_at: datetime


class State(Struct):
    """What the database holds now, for the keys that were asked for."""

    counters: dict[CounterKey, Counter] = field(default_factory=dict)
    levels: dict[LevelKey, LevelRow] = field(default_factory=dict)
    keys: dict[DigestKey, Seen] = field(default_factory=dict)
    holds: dict[UUID, HoldRow] = field(default_factory=dict)
    live: set[UUID] = field(default_factory=set)
    # Counters that refused while something was held: holds among it may have expired.
    crowded: set[CounterKey] = field(default_factory=set)


class Needs(Struct):
    """What must be read and locked, each sorted. A counter comes with its period's end."""

    counters: dict[CounterKey, datetime]
    levels: list[LevelKey]
    keys: list[DigestKey]
    holds: list[UUID]
    live: list[UUID]


class Granted(Struct):
    """`body` is what is sent; `answer` is None when an earlier answer is repeated."""

    body: bytes
    answer: Answer | Answers | None = None

    @property
    def replayed(self) -> bool:
        return self.answer is None


class Counted(Struct):
    """What became of each event, in order; the errors are those of refused ones."""

    verdicts: list[tuple[Verdict, DomainError | None]]


class Settled(Struct, rename="camel"):
    """What became of a hold."""

    id: UUID
    feature: str
    state: str
    held: int
    settled: int


Outcome = Granted | Counted | Settled | DomainError


def needs(jobs: list[Job]) -> Needs:
    counters: dict[CounterKey, datetime] = {}
    levels: set[LevelKey] = set()
    keys: set[DigestKey] = set()
    holds: set[UUID] = set()
    live: set[UUID] = set()
    for job in jobs:
        who = job.who
        organization = who.organization_id
        live.add(who.key_id)
        if isinstance(job, Ask):
            if job.digest is not None:
                keys.add((organization, job.digest))
            for part in job.parts:
                if isinstance(part, Quota):
                    counters[organization, part.feature, part.period.start] = part.period.end
                elif _in_row(part):
                    levels.add((organization, part.feature))
        elif isinstance(job, Report):
            for event in job.events:
                if event.period is not None:
                    counters[organization, event.feature, event.period.start] = event.period.end
                if event.digest is not None:
                    keys.add((organization, event.digest))
        else:
            counters[organization, job.feature, job.period.start] = job.period.end
            holds.add(job.hold_id)
    live.discard(NO_KEY)
    return Needs(
        counters=dict(sorted(counters.items())) if len(counters) > 1 else counters,
        levels=sorted(levels),
        keys=sorted(keys),
        holds=sorted(holds),
        live=list(live),
    )


def decide(jobs: list[Job], state: State, tally: Tally) -> list[Outcome]:
    """An outcome for every job, in order; what is to be written lands in `tally`."""
    return [_outcome(job, state, tally) for job in jobs]


def _outcome(job: Job, state: State, tally: Tally) -> Outcome:
    if job.who.key_id != NO_KEY and job.who.key_id not in state.live:
        return KeyRevoked()
    if isinstance(job, Ask):
        return _authorize(job, state, tally)
    if isinstance(job, Report):
        return Counted([_count(job.who, event, state, tally) for event in job.events])
    return _settle(job, state, tally)


def _authorize(ask: Ask, state: State, tally: Tally) -> Outcome:
    organization = ask.who.organization_id
    if ask.digest is not None:
        seen = state.keys.get((organization, ask.digest))
        if seen is not None:
            return repeated(ask, seen)
    items: list[ItemAnswer] = []
    for position, part in enumerate(ask.parts):
        answer = _take(ask, part, state)
        if isinstance(answer, DomainError):
            _put_back(ask, ask.parts[:position], state)
            return answer
        items.append(answer)
    granted = grant(ask, items)
    _write(ask, state, tally)
    if ask.digest is not None:
        text = granted.body.decode()
        state.keys[organization, ask.digest] = Seen(ask.fingerprint, text)
        tally.key(organization, ask.digest, ask.fingerprint, text)
    return granted


def repeated(ask: Ask, seen: Seen) -> Outcome:
    """The first answer once more, or a conflict when something else was asked then."""
    if seen.fingerprint != ask.fingerprint:
        return IdempotencyConflict("This Idempotency-Key was already used with another request.")
    if seen.answer is None:  # Reported as an event before: counted then, so granted now without counting.
        return Granted(grant(ask, [ItemAnswer(part.feature, _kind(part), part.amount) for part in ask.parts]).body)
    return Granted(seen.answer.encode())


def grant(ask: Ask, items: list[ItemAnswer], *, recorded: bool = True) -> Granted:
    answer = encoding.flat(items, single=ask.single, recorded=recorded)
    if ask.hold is not None and isinstance(answer, Answer):
        answer.hold = HoldAnswer(id=ask.hold.id, expires_at=ask.hold.expires_at)
    return Granted(encoding.to_json(answer), answer)


def _kind(part: Part) -> Kind:
    match part:
        case Quota():
            return Kind.QUOTA
        case Level() | GiveBack():
            return Kind.LIMIT
        case Rate():
            return Kind.RATE
    return Kind.FLAG


def _take(ask: Ask, part: Part, state: State) -> ItemAnswer | DomainError:
    """Take it in `state`, or say why not."""
    if isinstance(part, Quota):
        key = (ask.who.organization_id, part.feature, part.period.start)
        counter = state.counters[key]
        answer = quota_answer(part, counter, ask.at)
        if isinstance(answer, DomainError):
            if counter.held:
                state.crowded.add(key)
            return answer
        if ask.hold is None:
            counter.used += part.amount
        else:
            counter.held += part.amount
        return answer
    if isinstance(part, Level):
        row = LevelRow(0, part.counted) if part.counted is not None else state.levels[ask.who.organization_id, part.feature]
        taken = level_answer(part, row.value)
        if not isinstance(taken, DomainError):
            row.value += part.amount
        return taken
    if isinstance(part, GiveBack):
        return _give_back(part, state.levels[ask.who.organization_id, part.feature])
    return still_answer(part)


def _in_row(part: Part) -> bool:
    """Whether a row of levels holds it."""
    return isinstance(part, GiveBack) or (isinstance(part, Level) and part.counted is None)


def _change(part: Part) -> int:
    return -part.amount if isinstance(part, GiveBack) else part.amount


def _give_back(part: GiveBack, row: LevelRow) -> ItemAnswer | DomainError:
    if part.amount > row.value:
        return Conflict("That is more than is in use.", feature=part.feature, amount=part.amount, used=row.value)
    row.value -= part.amount
    return level_standing(part.feature, part.amount, row.value, part.limit)


def level_standing(feature: str, amount: int, value: int, limit: int | None) -> ItemAnswer:
    if limit is None:
        return ItemAnswer(feature, Kind.LIMIT, amount, value)
    return ItemAnswer(feature, Kind.LIMIT, amount, value, limit, max(0, limit - value), max(0, value - limit))


def still_answer(part: Rate | Flag) -> ItemAnswer:
    """Of what Postgres has no say in: the rate was taken before, a flag is there."""
    if isinstance(part, Flag):
        return ItemAnswer(part.feature, Kind.FLAG, part.amount)
    remaining = None if part.limit is None or part.used is None else max(0, part.limit - part.used)
    return ItemAnswer(part.feature, Kind.RATE, part.amount, part.used, part.limit, remaining, 0, part.resets_at)


def quota_answer(part: Quota, counter: Counter, at: datetime) -> ItemAnswer | DomainError:
    """What it will be when `amount` more is taken, or why it may not be."""
    limit = part.allowance.limit
    # A correction may have taken more off a period than was in it; that is no extra allowance.
    before = max(counter.used, 0) + counter.held
    total = before + part.amount
    resets = part.period.end
    if limit is None:
        return ItemAnswer(part.feature, Kind.QUOTA, part.amount, total, None, None, 0, resets)
    if total <= limit:
        return ItemAnswer(part.feature, Kind.QUOTA, part.amount, total, limit, limit - total, 0, resets)
    told: dict[str, Any] = {
        "feature": part.feature,
        "amount": part.amount,
        "limit": limit,
        "used": before,
        "remaining": max(0, limit - before),
        "resets_at": resets,
        "retry_after": until(resets, at),
    }
    sold = units_sold(part.allowance.overage_unit_amount, part.allowance.overage_currency, counter)
    if sold is None:
        return QuotaExceeded(**told)
    if total > limit + sold:
        return OverageCapReached(**told, cap_minor=counter.cap_minor, currency=counter.currency)
    return ItemAnswer(part.feature, Kind.QUOTA, part.amount, total, limit, 0, total - limit, resets)


def units_sold(unit_amount: int | None, currency: str | None, counter: Counter) -> int | None:
    """How many units beyond the limit the organization agreed to pay for; None where there is no such agreement."""
    if counter.cap_minor is None or not unit_amount or currency != counter.currency:
        return None
    return counter.cap_minor // unit_amount


def level_answer(part: Level, value: int) -> ItemAnswer | DomainError:
    total = value + part.amount
    if part.limit is not None and total > part.limit:
        left = max(0, part.limit - value)
        return LimitReached(feature=part.feature, amount=part.amount, limit=part.limit, used=value, remaining=left)
    return level_standing(part.feature, part.amount, total, part.limit)


def _put_back(ask: Ask, parts: list[Part], state: State) -> None:
    for part in parts:
        if isinstance(part, Quota):
            counter = state.counters[ask.who.organization_id, part.feature, part.period.start]
            if ask.hold is None:
                counter.used -= part.amount
            else:
                counter.held -= part.amount
        elif _in_row(part):
            state.levels[ask.who.organization_id, part.feature].value -= _change(part)


def _write(ask: Ask, state: State, tally: Tally) -> None:
    for part in ask.parts:
        if isinstance(part, Quota):
            counter = state.counters[ask.who.organization_id, part.feature, part.period.start]
            if ask.hold is None:
                tally.event(ask.who, part.feature, part.amount, ask.at, ask.digest or b"", "", "")
                tally.count(counter.id, part.amount, 0)
            else:
                tally.hold(ask.hold, ask.who, part, ask.at)
                tally.count(counter.id, 0, part.amount)
        elif _in_row(part):
            tally.level(state.levels[ask.who.organization_id, part.feature].id, _change(part))


def _count(who: Who, event: Event, state: State, tally: Tally) -> tuple[Verdict, DomainError | None]:
    organization = who.organization_id
    if event.digest is not None:
        seen = state.keys.get((organization, event.digest))
        if seen is not None:
            if seen.fingerprint == event.fingerprint:
                return Verdict.DUPLICATE, None
            return Verdict.REFUSED, IdempotencyConflict("This idempotency key was already used with another event.")
        state.keys[organization, event.digest] = Seen(event.fingerprint, None)
        tally.key(organization, event.digest, event.fingerprint, "")
    tally.event(who, event.feature, event.amount, event.occurred_at, event.digest or b"", event.reason, event.properties)
    if event.period is not None:
        counter = state.counters[organization, event.feature, event.period.start]
        counter.used += event.amount
        tally.count(counter.id, event.amount, 0)
    return Verdict.ACCEPTED, None


def _settle(job: Settlement, state: State, tally: Tally) -> Outcome:
    row = state.holds.get(job.hold_id)
    if row is None or row.who.organization_id != job.who.organization_id:
        return NotFound()
    wanted, amount = ("released", 0) if job.amount is None else ("settled", job.amount)
    if row.state in {"settled", "released"}:
        if (row.state, row.settled_amount) == (wanted, amount):
            return Settled(id=job.hold_id, feature=job.feature, state=wanted, held=row.amount, settled=amount)
        return Conflict(f"This hold was already {row.state}.", state=row.state)
    if row.state == "expired" and wanted == "released":
        return Settled(id=job.hold_id, feature=job.feature, state="expired", held=row.amount, settled=0)
    # What was used was used: the truth is counted even if it is more than was held, and even after the hold expired.
    counter = state.counters[job.who.organization_id, job.feature, job.period.start]
    held = row.amount if row.state == "held" else 0
    counter.held -= held
    counter.used += amount
    tally.count(counter.id, amount, -held)
    if amount:
        tally.event(row.who, job.feature, amount, row.created_at, b"", "", "")
    tally.end_hold(job.hold_id, wanted, amount)
    row.state, row.settled_amount = wanted, amount
    return Settled(id=job.hold_id, feature=job.feature, state=wanted, held=row.amount, settled=amount)
