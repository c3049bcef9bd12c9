"""Decide the events of a batch: duplicates, corrections and credits."""

from datetime import datetime

from msgspec.structs import replace

from usage.errors import IdempotencyConflict
from usage.types import Event, EventBatch, EventResult, EventStatus, ServiceContext, UsageSubject

from .rows import IdempotencyRecord, LockedRows
from .write_set import AuditEntry, WriteSet

# The length of the column `reason` of audit events.
MAX_AUDIT_REASON = 200
_ACCEPTED = EventResult(EventStatus.ACCEPTED)
_DUPLICATE = EventResult(EventStatus.DUPLICATE)


def record_events(batch: EventBatch, state: LockedRows, write_set: WriteSet) -> list[EventResult]:
    """Return one result per event, in order. `state` is updated, and the changes to write are added to `write_set`."""
    keys, prefix = state.keys, batch.subject.organization
    outcomes: list[EventResult] = []
    accepted: list[Event] = []
    # Number of accepted events that are already added to their counters. Events are added before a correction is decided, because it
    # subtracts at most the units counted until then.
    added = 0
    for event in batch.events:
        if event.digest is not None:
            key = prefix + event.digest
            record = keys.get(key)
            if record is not None:
                outcomes.append(_DUPLICATE if record.fingerprint == event.fingerprint else _conflict())
                continue
            keys[key] = IdempotencyRecord(event.fingerprint, None)
            write_set.key(key, event.fingerprint, "")
        if event.credit:
            outcomes.append(_record_credit(batch.subject, event, state, write_set))
        elif event.amount < 0:
            _update_counters(batch.subject, accepted[added:], state, write_set)
            added = len(accepted)
            applied = max(event.amount, -state.counters[batch.subject.organization, event.feature, event.period.start].used)
            # A correction that subtracts 0 is not stored. Only its idempotency key is stored.
            if applied:
                accepted.append(replace(event, amount=applied))
            outcomes.append(EventResult(EventStatus.ACCEPTED, applied=applied))
        else:
            accepted.append(event)
            outcomes.append(_ACCEPTED)
    if accepted:
        write_set.report(batch.subject, accepted)
        _update_counters(batch.subject, accepted[added:], state, write_set)
    if batch.service is not None:
        _audit_restatements(batch, batch.service, outcomes, write_set)
    return outcomes


def _audit_restatements(batch: EventBatch, service: ServiceContext, outcomes: list[EventResult], write_set: WriteSet) -> None:
    """Add one audit event for all accepted corrections of a batch and one for all accepted credits, with totals by feature.

    Each audit event has the reason of its first correction or credit.
    """
    entries: dict[str, AuditEntry] = {}
    for event, outcome in zip(batch.events, outcomes, strict=True):
        if event.amount > 0 or outcome.status is not EventStatus.ACCEPTED:
            continue
        action = "usage.credited" if event.credit else "usage.corrected"
        amount = -event.amount if event.credit else outcome.applied or 0
        entry = entries.get(action)
        if entry is None:
            entry = entries[action] = AuditEntry(batch.subject.organization, service, action, "", {}, event.reason[:MAX_AUDIT_REASON])
        entry.after[event.feature] = entry.after.get(event.feature, 0) + amount
    for entry in entries.values():
        write_set.audit(entry)


def _record_credit(subject: UsageSubject, event: Event, state: LockedRows, write_set: WriteSet) -> EventResult:
    """Increase the allowance of the event's period. Usage does not change, so no usage event is written."""
    counter = state.counters[subject.organization, event.feature, event.period.start]
    counter.credited -= event.amount
    write_set.count(counter.id, 0, 0, credited=-event.amount)
    return _ACCEPTED


def _conflict() -> EventResult:
    return EventResult(EventStatus.REFUSED, IdempotencyConflict("This idempotency key was already used with another event."))


def _update_counters(subject: UsageSubject, events: list[Event], state: LockedRows, write_set: WriteSet) -> None:
    totals: dict[tuple[str, datetime], int] = {}
    for event in events:
        key = (event.feature, event.period.start)
        totals[key] = totals.get(key, 0) + event.amount
    for (feature, start), amount in totals.items():
        counter = state.counters[subject.organization, feature, start]
        counter.used += amount
        write_set.count(counter.id, amount, 0)
