"""The rows that a batch of commands must read and lock, and their contents."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct, field

from usage.types import (
    KEYLESS,
    AuthorizeCommand,
    Command,
    CounterKey,
    EventBatch,
    Gauge,
    GaugeDecrease,
    LineItem,
    Quota,
    SetGauge,
    SpooledAuthorization,
    UsageSubject,
)

# Organization and feature.
GaugeKey = tuple[bytes, str]
# The organization's 16 bytes followed by the digest. Bytes are hashed and sorted without running Python code.
DigestKey = bytes


class Counter(Struct):
    """A counter, in units. `cap_minor` is None if overage is disabled. `credited` is added to the plan's allowance."""

    id: int
    used: int
    held: int
    cap_minor: int | None = None
    currency: str | None = None
    credited: int = 0


class GaugeRow(Struct):
    """A gauge's row, in units."""

    id: int
    value: int


class IdempotencyRecord(Struct, gc=False):
    """A used idempotency key. `answer` is the stored response, or None for an event."""

    fingerprint: bytes
    answer: str | None


class HoldRow(Struct):
    """A hold's row. Amounts are in units."""

    subject: UsageSubject
    amount: int
    state: str
    settled_amount: int | None
    created_at: datetime


class LockedRows(Struct):
    """The contents of the locked rows, by key. `decide` updates them while it processes the batch."""

    counters: dict[CounterKey, Counter] = field(default_factory=dict)
    gauges: dict[GaugeKey, GaugeRow] = field(default_factory=dict)
    keys: dict[DigestKey, IdempotencyRecord] = field(default_factory=dict)
    holds: dict[UUID, HoldRow] = field(default_factory=dict)
    active_keys: set[bytes] = field(default_factory=set)
    active_apps: set[bytes] = field(default_factory=set)
    # Counters whose quota refused an item while units were held. Some of these holds may have expired.
    counters_with_holds: set[CounterKey] = field(default_factory=set)


class RowsToLock(Struct):
    """Keys of the rows to read and lock, sorted to give a fixed lock order. Counters are mapped to the end of their period."""

    counters: dict[CounterKey, datetime]
    gauges: list[GaugeKey]
    keys: list[DigestKey]
    holds: list[UUID]
    active_keys: list[bytes] = field(default_factory=list)
    active_apps: list[bytes] = field(default_factory=list)


def has_gauge_row(item: LineItem) -> bool:
    """Return whether the item changes a row in the gauges table."""
    return isinstance(item, GaugeDecrease) or (isinstance(item, Gauge) and item.derived_value is None)


def rows_to_lock(commands: list[Command]) -> RowsToLock:
    """Return the rows that deciding the commands reads or changes."""
    counters: dict[CounterKey, datetime] = {}
    gauges: set[GaugeKey] = set()
    keys: set[DigestKey] = set()
    holds: set[UUID] = set()
    key_ids: set[bytes] = set()
    app_ids: set[bytes] = set()
    for command in commands:
        subject = command.subject
        organization = subject.organization
        if not isinstance(command, SpooledAuthorization):
            (app_ids if subject.connected_app else key_ids).add(subject.key)
        if isinstance(command, AuthorizeCommand):
            if command.digest is not None:
                keys.add(organization + command.digest)
            for item in command.items:
                if isinstance(item, Quota):
                    counters[organization, item.feature, item.period.start] = item.period.end
                elif has_gauge_row(item):
                    gauges.add((organization, item.feature))
        elif isinstance(command, EventBatch):
            for feature, period in {(event.feature, event.period) for event in command.events}:
                counters[organization, feature, period.start] = period.end
            prefix = organization
            keys.update([prefix + event.digest for event in command.events if event.digest is not None])
        elif isinstance(command, SpooledAuthorization):
            keys.add(organization + command.digest)
            gauges.update((organization, item.feature) for item in command.items if item.period is None)
            counters.update(((organization, item.feature, item.period.start), item.period.end) for item in command.items if item.period)
        elif isinstance(command, SetGauge):
            gauges.add((organization, command.feature))
        else:
            counters[organization, command.feature, command.period.start] = command.period.end
            holds.add(command.hold_id)
    key_ids.discard(KEYLESS)
    return RowsToLock(
        counters=dict(sorted(counters.items())) if len(counters) > 1 else counters,
        gauges=sorted(gauges),
        keys=sorted(keys),
        holds=sorted(holds),
        active_keys=list(key_ids),
        active_apps=list(app_ids),
    )
