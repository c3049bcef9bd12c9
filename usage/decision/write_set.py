"""The changes that a batch writes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from contextmcp.common.pg_binary import Bytea, Ints, Texts, TimestampMicros, Uuids, to_pg_micros
from usage.types import Event, NewHold, Quota, ServiceContext, UsageSubject

# In microseconds. Times are counted from 2000-01-01 00:00 UTC, which is the start of an hour, so integer division yields the hour.
HOUR = 3_600_000_000


class AuditEntry(Struct):
    """An audit event that is written in the transaction of the change that it describes."""

    organization: bytes
    service: ServiceContext
    action: str
    target: str
    after: dict[str, Any]
    reason: str = ""
    before: dict[str, Any] | None = None


class ToolEvent(Struct, frozen=True):
    """An event that an MCP tool caused. `occurred_at` is in microseconds since 2000-01-01 UTC."""

    subject: UsageSubject
    feature: str
    amount: int
    occurred_at: int
    digest: bytes
    tool: str


class WriteSet:
    """Collects the changes of a batch. `usage.store.codec` turns them into the parameters of statements.

    Events are collected column by column, in the types that are sent to PostgreSQL, because converting them later would take more time than
    deciding them.
    """

    def __init__(self) -> None:
        self.organizations, self.features, self.amounts, self.times = Uuids(), Texts(), Ints(), TimestampMicros()
        self.keys, self.members, self.digests, self.reasons, self.properties = Uuids(), Ints(), Bytea(), Texts(), Texts()
        self.tool_events: list[ToolEvent] = []
        self.seen: list[tuple[bytes, bytes, str]] = []
        self.counters: dict[int, list[int]] = {}
        self.hours: dict[tuple[bytes, int, str, bytes, int], list[int]] = {}
        self.gauges: dict[int, int] = {}
        self.holds: list[tuple[NewHold, UsageSubject, Quota, datetime]] = []
        self.ended: list[tuple[bytes, str, int]] = []
        self.audits: list[AuditEntry] = []

    def event(  # noqa: PLR0917 - called for every event, where keywords are slower
        self, subject: UsageSubject, feature: str, amount: int, at: datetime, digest: bytes, tool: str
    ) -> None:
        """Add one event and its share of the summaries. An empty digest is stored as NULL. `tool` is empty unless an MCP tool caused it."""
        moment = to_pg_micros(at)
        if tool:
            self.tool_events.append(ToolEvent(subject, feature, amount, moment, digest, tool))
        else:
            self.organizations.append(subject.organization)
            self.features.append(feature)
            self.amounts.append(amount)
            self.times.append(moment)
            self.keys.append(subject.key)
            self.members.append(subject.member)
            self.digests.append(digest)
            self.reasons.append("")
            self.properties.append("")
        hour = (subject.organization, moment // HOUR, feature, subject.key, subject.member)
        total = self.hours.get(hour)
        if total is None:
            self.hours[hour] = [amount, 1]
        else:
            total[0] += amount
            total[1] += 1

    def report(self, subject: UsageSubject, events: list[Event]) -> None:
        """Add many events of one caller, column by column."""
        count = len(events)
        self.organizations += [subject.organization] * count
        self.keys += [subject.key] * count
        self.members += [subject.member] * count
        self.features += [event.feature for event in events]
        self.amounts += [event.amount for event in events]
        self.times += [event.occurred_at for event in events]
        self.digests += [event.digest or b"" for event in events]
        self.reasons += [event.reason for event in events]
        self.properties += [event.properties for event in events]
        hours: dict[tuple[str, int], list[int]] = {}
        for event in events:
            bucket = (event.feature, event.occurred_at // HOUR)
            total = hours.get(bucket)
            if total is None:
                hours[bucket] = [event.amount, 1]
            else:
                total[0] += event.amount
                total[1] += 1
        for (feature, start), (amount, number) in hours.items():
            total = self.hours.setdefault((subject.organization, start, feature, subject.key, subject.member), [0, 0])
            total[0] += amount
            total[1] += number

    def key(self, key: bytes, fingerprint: bytes, answer: str) -> None:
        """Add an idempotency key with its stored response, which is empty for an event."""
        self.seen.append((key, fingerprint, answer))

    def count(self, counter: int, used: int, held: int, *, credited: int = 0) -> None:
        """Add units to the counter with this row ID."""
        change = self.counters.setdefault(counter, [0, 0, 0])
        change[0] += used
        change[1] += held
        change[2] += credited

    def gauge(self, gauge: int, amount: int) -> None:
        """Add units to the gauge with this row ID."""
        self.gauges[gauge] = self.gauges.get(gauge, 0) + amount

    def hold(self, hold: NewHold, subject: UsageSubject, quota: Quota, at: datetime) -> None:
        """Add a new hold."""
        self.holds.append((hold, subject, quota, at))

    def end_hold(self, hold: UUID, state: str, amount: int) -> None:
        """Set a hold's final state and settled amount."""
        self.ended.append((hold.bytes, state, amount))

    def audit(self, entry: AuditEntry) -> None:
        """Add an audit event."""
        self.audits.append(entry)
