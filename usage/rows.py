"""What a decision needs to know: the rows that must be read and locked for a batch, and what was found in them."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct, field

from .types import KEYLESS, Ask, CounterKey, GiveBack, Job, Kept, Level, Part, Quota, Report, Who

# The organization and the feature.
LevelKey = tuple[bytes, str]
# The organization's 16 bytes, then the digest's: hashed and sorted without any Python code.
DigestKey = bytes


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


class Seen(Struct, gc=False):
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
    live: set[bytes] = field(default_factory=set)
    # Counters that refused while something was held: holds among it may have expired.
    crowded: set[CounterKey] = field(default_factory=set)


class Needs(Struct):
    """What must be read and locked, each sorted. A counter comes with its period's end."""

    counters: dict[CounterKey, datetime]
    levels: list[LevelKey]
    keys: list[DigestKey]
    holds: list[UUID]
    live: list[bytes]


def in_row(part: Part) -> bool:
    """Whether a row of levels holds it."""
    return isinstance(part, GiveBack) or (isinstance(part, Level) and part.counted is None)


def needs(jobs: list[Job]) -> Needs:
    counters: dict[CounterKey, datetime] = {}
    levels: set[LevelKey] = set()
    keys: set[DigestKey] = set()
    holds: set[UUID] = set()
    live: set[bytes] = set()
    for job in jobs:
        who = job.who
        organization = who.organization
        if not isinstance(job, Kept):
            live.add(who.key)
        if isinstance(job, Ask):
            if job.digest is not None:
                keys.add(organization + job.digest)
            for part in job.parts:
                if isinstance(part, Quota):
                    counters[organization, part.feature, part.period.start] = part.period.end
                elif in_row(part):
                    levels.add((organization, part.feature))
        elif isinstance(job, Report):
            for feature, period in {(event.feature, event.period) for event in job.events}:
                if period is not None:
                    counters[organization, feature, period.start] = period.end
            prefix = organization
            keys.update([prefix + event.digest for event in job.events if event.digest is not None])
        elif isinstance(job, Kept):
            keys.add(organization + job.digest)
            levels.update((organization, take.feature) for take in job.takes if take.period is None)
            counters.update(((organization, take.feature, take.period.start), take.period.end) for take in job.takes if take.period)
        else:
            counters[organization, job.feature, job.period.start] = job.period.end
            holds.add(job.hold_id)
    live.discard(KEYLESS)
    return Needs(
        counters=dict(sorted(counters.items())) if len(counters) > 1 else counters,
        levels=sorted(levels),
        keys=sorted(keys),
        holds=sorted(holds),
        live=list(live),
    )
