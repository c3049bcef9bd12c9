"""Decide a batch of commands in order.

In one transaction, an executor (`usage.store.executor`, or the gate's `group_commit`) reads and locks the rows that `rows.rows_to_lock`
returns, calls `decide`, and writes the `WriteSet`. A batch of one command and a batch of hundreds are handled in the same way.
"""

from accounts.errors import KeyRevoked
from contextmcp.common.errors import DomainError, NotFound
from usage.errors import HoldAlreadyEnded, IdempotencyConflict, ReleaseExceedsUsage
from usage.types import (
    KEYLESS,
    AuthorizeCommand,
    Command,
    EventBatch,
    Gauge,
    GaugeDecrease,
    ItemResult,
    Kind,
    LineItem,
    Quota,
    Rate,
    SetGauge,
    SettleHold,
    SpooledAuthorization,
)

from .events import record_events
from .quota import evaluate_gauge, evaluate_quota, gauge_result, stateless_result
from .results import Authorized, CommandResult, EventsRecorded, HoldSettled, build_response
from .rows import GaugeRow, IdempotencyRecord, LockedRows, has_gauge_row
from .write_set import AuditEntry, WriteSet


def decide(commands: list[Command], state: LockedRows, write_set: WriteSet) -> list[CommandResult]:
    """Return one result per command, in order. `state` is updated, and the changes to write are added to `write_set`."""
    return [_execute(command, state, write_set) for command in commands]


def _execute(command: Command, state: LockedRows, write_set: WriteSet) -> CommandResult:
    if isinstance(command, SpooledAuthorization):
        return _replay_spooled(command, state, write_set)
    subject = command.subject
    if subject.key != KEYLESS and subject.key not in (state.active_apps if subject.connected_app else state.active_keys):
        return KeyRevoked()
    if isinstance(command, AuthorizeCommand):
        return _authorize(command, state, write_set)
    if isinstance(command, EventBatch):
        return EventsRecorded(record_events(command, state, write_set))
    if isinstance(command, SetGauge):
        return _set_gauge(command, state, write_set)
    return _settle(command, state, write_set)


def _authorize(command: AuthorizeCommand, state: LockedRows, write_set: WriteSet) -> CommandResult:
    organization = command.subject.organization
    if command.digest is not None:
        record = state.keys.get(organization + command.digest)
        if record is not None:
            return replay_or_conflict(command, record)
    items: list[ItemResult] = []
    for position, item in enumerate(command.items):
        answer = _apply_item(command, item, state)
        if isinstance(answer, DomainError):
            _revert(command, command.items[:position], state)
            return answer
        items.append(answer)
    authorized = build_response(command, items)
    _write(command, state, write_set)
    if command.digest is not None:
        text = authorized.body.decode()
        key = organization + command.digest
        state.keys[key] = IdempotencyRecord(command.fingerprint, text)
        write_set.key(key, command.fingerprint, text)
    return authorized


def replay_or_conflict(command: AuthorizeCommand, record: IdempotencyRecord) -> CommandResult:
    """Return the stored response, or `IdempotencyConflict` if the key was first used with another request."""
    if record.fingerprint != command.fingerprint:
        return IdempotencyConflict("This Idempotency-Key was already used with another request.")
    if record.answer is None:  # The key belongs to a recorded event, so the usage is already counted.
        return Authorized(build_response(command, [ItemResult(item.feature, _kind(item), item.amount) for item in command.items]).body)
    return Authorized(record.answer.encode())


def _kind(item: LineItem) -> Kind:
    match item:
        case Quota():
            return Kind.QUOTA
        case Gauge() | GaugeDecrease():
            return Kind.GAUGE
        case Rate():
            return Kind.RATE_LIMIT
    return Kind.BOOLEAN


def _apply_item(command: AuthorizeCommand, item: LineItem, state: LockedRows) -> ItemResult | DomainError:
    """Apply a line item to `state` and return its result, or return the refusal and leave `state` unchanged."""
    if isinstance(item, Quota):
        key = (command.subject.organization, item.feature, item.period.start)
        counter = state.counters[key]
        result = evaluate_quota(item, counter, command.at)
        if isinstance(result, DomainError):
            if counter.held:
                state.counters_with_holds.add(key)
            return result
        if command.hold is None:
            counter.used += item.amount
        else:
            counter.held += item.amount
        return result
    if isinstance(item, Gauge):
        row = (
            GaugeRow(0, item.derived_value) if item.derived_value is not None else state.gauges[command.subject.organization, item.feature]
        )
        result = evaluate_gauge(item, row.value)
        if not isinstance(result, DomainError):
            row.value += item.amount
        return result
    if isinstance(item, GaugeDecrease):
        return _apply_decrease(item, state.gauges[command.subject.organization, item.feature])
    return stateless_result(item)


def _signed_amount(item: LineItem) -> int:
    return -item.amount if isinstance(item, GaugeDecrease) else item.amount


def _apply_decrease(item: GaugeDecrease, row: GaugeRow) -> ItemResult | DomainError:
    if item.amount > row.value:
        return ReleaseExceedsUsage(feature=item.feature, amount=item.amount, used=row.value)
    row.value -= item.amount
    return gauge_result(item.feature, item.amount, row.value, item.limit)


def _revert(command: AuthorizeCommand, items: list[LineItem], state: LockedRows) -> None:
    for item in items:
        if isinstance(item, Quota):
            counter = state.counters[command.subject.organization, item.feature, item.period.start]
            if command.hold is None:
                counter.used -= item.amount
            else:
                counter.held -= item.amount
        elif has_gauge_row(item):
            state.gauges[command.subject.organization, item.feature].value -= _signed_amount(item)


def _write(command: AuthorizeCommand, state: LockedRows, write_set: WriteSet) -> None:
    for item in command.items:
        if isinstance(item, Quota):
            counter = state.counters[command.subject.organization, item.feature, item.period.start]
            if command.hold is None:
                write_set.event(command.subject, item.feature, item.amount, command.at, command.digest or b"", command.tool)
                write_set.count(counter.id, item.amount, 0)
            else:
                write_set.hold(command.hold, command.subject, item, command.at)
                write_set.count(counter.id, 0, item.amount)
        elif has_gauge_row(item):
            row = state.gauges[command.subject.organization, item.feature]
            write_set.gauge(row.id, _signed_amount(item))
            if command.service is not None and isinstance(item, GaugeDecrease):
                after = {"feature": item.feature, "released": item.amount, "value": row.value}
                write_set.audit(AuditEntry(command.subject.organization, command.service, "usage.gauge_decreased", item.feature, after))


def _replay_spooled(command: SpooledAuthorization, state: LockedRows, write_set: WriteSet) -> CommandResult:
    """Count an authorization that was granted during an outage, even past the limit or for a key that is now revoked."""
    organization = command.subject.organization
    key = organization + command.digest
    record = state.keys.get(key)
    if record is not None:
        return Authorized(command.answer.encode()) if record.fingerprint == command.fingerprint else IdempotencyConflict()
    for item in command.items:
        if item.period is None:
            row = state.gauges[organization, item.feature]
            change = max(item.amount, -row.value)
            row.value += change
            write_set.gauge(row.id, change)
        else:
            counter = state.counters[organization, item.feature, item.period.start]
            counter.used += item.amount
            write_set.event(command.subject, item.feature, item.amount, command.at, command.digest, "")
            write_set.count(counter.id, item.amount, 0)
    state.keys[key] = IdempotencyRecord(command.fingerprint, command.answer)
    write_set.key(key, command.fingerprint, command.answer)
    return Authorized(command.answer.encode())


def _settle(command: SettleHold, state: LockedRows, write_set: WriteSet) -> CommandResult:
    row = state.holds.get(command.hold_id)
    if row is None or row.subject.organization != command.subject.organization:
        return NotFound()
    new_state, amount = ("released", 0) if command.amount is None else ("settled", command.amount)
    if row.state in {"settled", "released"}:
        if (row.state, row.settled_amount) == (new_state, amount):
            return HoldSettled(id=command.hold_id, feature=command.feature, state=new_state, held=row.amount, settled=amount)
        return HoldAlreadyEnded(f"This hold has already been {row.state}.", state=row.state)
    if row.state == "expired" and new_state == "released":
        return HoldSettled(id=command.hold_id, feature=command.feature, state="expired", held=row.amount, settled=0)
    # The actual amount is counted even if it is more than was held, and even after the hold expired.
    counter = state.counters[command.subject.organization, command.feature, command.period.start]
    held = row.amount if row.state == "held" else 0
    counter.held -= held
    counter.used += amount
    write_set.count(counter.id, amount, -held)
    if amount:
        write_set.event(row.subject, command.feature, amount, row.created_at, b"", command.tool)
    write_set.end_hold(command.hold_id, new_state, amount)
    if command.service is not None and amount < row.amount:
        after = {"feature": command.feature, "held": row.amount, "settled": amount}
        organization = command.subject.organization
        write_set.audit(AuditEntry(organization, command.service, "usage.hold_ended", str(command.hold_id), after))
    row.state, row.settled_amount = new_state, amount
    return HoldSettled(id=command.hold_id, feature=command.feature, state=new_state, held=row.amount, settled=amount)


def _set_gauge(command: SetGauge, state: LockedRows, write_set: WriteSet) -> ItemResult:
    row = state.gauges[command.subject.organization, command.feature]
    before, row.value = row.value, command.value
    write_set.gauge(row.id, command.value - before)
    if command.service is not None and command.value != before:
        fields = {"feature": command.feature, "value": command.value}
        organization = command.subject.organization
        write_set.audit(AuditEntry(organization, command.service, "usage.gauge_set", command.feature, fields, before={"value": before}))
    return gauge_result(command.feature, command.value, command.value, command.limit)
