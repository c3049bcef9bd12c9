"""Who may take what, decided for a batch, in order. Nothing here reads a clock, a database or a socket.

An executor (`usage.store`, or the gate's) reads and locks what `rows.needs` names, has `decide` decide, and writes the `Tally`, in one
transaction. A batch of one and a batch of hundreds take the same way.
"""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from accounts.errors import KeyRevoked
from contextmcp.common.errors import Conflict, DomainError, NotFound

from . import encoding
from .errors import CorrectionExceedsUsage, IdempotencyConflict
from .limits import level_answer, level_standing, quota_answer, still_answer
from .rows import LevelRow, Seen, State, in_row
from .tally import Tally
from .types import (
    KEYLESS,
    Answer,
    Answers,
    Ask,
    Event,
    GiveBack,
    HoldAnswer,
    ItemAnswer,
    Job,
    Kept,
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


def decide(jobs: list[Job], state: State, tally: Tally) -> list[Outcome]:
    """An outcome for every job, in order; what is to be written lands in `tally`."""
    return [_outcome(job, state, tally) for job in jobs]


def _outcome(job: Job, state: State, tally: Tally) -> Outcome:
    if isinstance(job, Kept):
        return _make_good(job, state, tally)
    if job.who.key != KEYLESS and job.who.key not in state.live:
        return KeyRevoked()
    if isinstance(job, Ask):
        return _authorize(job, state, tally)
    if isinstance(job, Report):
        return Counted(_count(job, state, tally))
    return _settle(job, state, tally)


def _authorize(ask: Ask, state: State, tally: Tally) -> Outcome:
    organization = ask.who.organization
    if ask.digest is not None:
        seen = state.keys.get(organization + ask.digest)
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
        key = organization + ask.digest
        state.keys[key] = Seen(ask.fingerprint, text)
        tally.key(key, ask.fingerprint, text)
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
        key = (ask.who.organization, part.feature, part.period.start)
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
        row = LevelRow(0, part.counted) if part.counted is not None else state.levels[ask.who.organization, part.feature]
        taken = level_answer(part, row.value)
        if not isinstance(taken, DomainError):
            row.value += part.amount
        return taken
    if isinstance(part, GiveBack):
        return _give_back(part, state.levels[ask.who.organization, part.feature])
    return still_answer(part)


def _change(part: Part) -> int:
    return -part.amount if isinstance(part, GiveBack) else part.amount


def _give_back(part: GiveBack, row: LevelRow) -> ItemAnswer | DomainError:
    if part.amount > row.value:
        return Conflict("That is more than is in use.", feature=part.feature, amount=part.amount, used=row.value)
    row.value -= part.amount
    return level_standing(part.feature, part.amount, row.value, part.limit)


def _put_back(ask: Ask, parts: list[Part], state: State) -> None:
    for part in parts:
        if isinstance(part, Quota):
            counter = state.counters[ask.who.organization, part.feature, part.period.start]
            if ask.hold is None:
                counter.used -= part.amount
            else:
                counter.held -= part.amount
        elif in_row(part):
            state.levels[ask.who.organization, part.feature].value -= _change(part)


def _write(ask: Ask, state: State, tally: Tally) -> None:
    for part in ask.parts:
        if isinstance(part, Quota):
            counter = state.counters[ask.who.organization, part.feature, part.period.start]
            if ask.hold is None:
                tally.event(ask.who, part.feature, part.amount, ask.at, ask.digest or b"", "", "")
                tally.count(counter.id, part.amount, 0)
            else:
                tally.hold(ask.hold, ask.who, part, ask.at)
                tally.count(counter.id, 0, part.amount)
        elif in_row(part):
            tally.level(state.levels[ask.who.organization, part.feature].id, _change(part))


def _make_good(job: Kept, state: State, tally: Tally) -> Outcome:
    """It was granted, so it counts: past the limit, and for a key that is revoked by now."""
    organization = job.who.organization
    key = organization + job.digest
    seen = state.keys.get(key)
    if seen is not None:
        return Granted(job.answer.encode()) if seen.fingerprint == job.fingerprint else IdempotencyConflict()
    for take in job.takes:
        if take.period is None:
            row = state.levels[organization, take.feature]
            change = max(take.amount, -row.value)
            row.value += change
            tally.level(row.id, change)
        else:
            counter = state.counters[organization, take.feature, take.period.start]
            counter.used += take.amount
            tally.event(job.who, take.feature, take.amount, job.at, job.digest, "", "")
            tally.count(counter.id, take.amount, 0)
    state.keys[key] = Seen(job.fingerprint, job.answer)
    tally.key(key, job.fingerprint, job.answer)
    return Granted(job.answer.encode())


_ACCEPTED = (Verdict.ACCEPTED, None)
_DUPLICATE = (Verdict.DUPLICATE, None)


def _count(report: Report, state: State, tally: Tally) -> list[tuple[Verdict, DomainError | None]]:
    keys, prefix = state.keys, report.who.organization
    verdicts: list[tuple[Verdict, DomainError | None]] = []
    accepted: list[Event] = []
    # What is counted of each period so far. Only corrections need it.
    counted: dict[tuple[str, datetime], int] | None = None
    for event in report.events:
        if event.digest is not None:
            key = prefix + event.digest
            seen = keys.get(key)
            if seen is not None:
                verdicts.append(_DUPLICATE if seen.fingerprint == event.fingerprint else _conflict())
                continue
        if counted is not None or event.amount < 0:
            if counted is None:
                counted = {}
                for earlier in accepted:
                    _add(counted, earlier)
            if event.amount < 0 and event.period is not None:
                counter = state.counters[report.who.organization, event.feature, event.period.start]
                left = counter.used + counted.get((event.feature, event.period.start), 0)
                if event.amount + left < 0:
                    verdicts.append(
                        (Verdict.REFUSED, CorrectionExceedsUsage(feature=event.feature, amount=event.amount, used=max(0, left)))
                    )
                    continue
            _add(counted, event)
        if event.digest is not None:
            keys[key] = Seen(event.fingerprint, None)
            tally.key(key, event.fingerprint, "")
        accepted.append(event)
        verdicts.append(_ACCEPTED)
    if accepted:
        tally.report(report.who, accepted)
        _count_periods(report.who, accepted, state, tally)
    return verdicts


def _add(counted: dict[tuple[str, datetime], int], event: Event) -> None:
    if event.period is not None:
        place = (event.feature, event.period.start)
        counted[place] = counted.get(place, 0) + event.amount


def _conflict() -> tuple[Verdict, DomainError | None]:
    return Verdict.REFUSED, IdempotencyConflict("This idempotency key was already used with another event.")


def _count_periods(who: Who, events: list[Event], state: State, tally: Tally) -> None:
    totals: dict[tuple[str, datetime], int] = {}
    for event in events:
        if event.period is not None:
            place = (event.feature, event.period.start)
            totals[place] = totals.get(place, 0) + event.amount
    for (feature, start), amount in totals.items():
        counter = state.counters[who.organization, feature, start]
        counter.used += amount
        tally.count(counter.id, amount, 0)


def _settle(job: Settlement, state: State, tally: Tally) -> Outcome:
    row = state.holds.get(job.hold_id)
    if row is None or row.who.organization != job.who.organization:
        return NotFound()
    wanted, amount = ("released", 0) if job.amount is None else ("settled", job.amount)
    if row.state in {"settled", "released"}:
        if (row.state, row.settled_amount) == (wanted, amount):
            return Settled(id=job.hold_id, feature=job.feature, state=wanted, held=row.amount, settled=amount)
        return Conflict(f"This hold was already {row.state}.", state=row.state)
    if row.state == "expired" and wanted == "released":
        return Settled(id=job.hold_id, feature=job.feature, state="expired", held=row.amount, settled=0)
    # What was used was used: the truth is counted even if it is more than was held, and even after the hold expired.
    counter = state.counters[job.who.organization, job.feature, job.period.start]
    held = row.amount if row.state == "held" else 0
    counter.held -= held
    counter.used += amount
    tally.count(counter.id, amount, -held)
    if amount:
        tally.event(row.who, job.feature, amount, row.created_at, b"", "", "")
    tally.end_hold(job.hold_id, wanted, amount)
    row.state, row.settled_amount = wanted, amount
    return Settled(id=job.hold_id, feature=job.feature, state=wanted, held=row.amount, settled=amount)
