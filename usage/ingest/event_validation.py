"""Validate parsed usage events: their time, amount, reason and meter, and the period in which each is counted."""

from datetime import UTC, datetime

from msgspec import Raw

from contextmcp.common.errors import DomainError
from contextmcp.common.pg_binary import to_pg_micros
from entitlements.types import Kind
from usage.authorize import fingerprints
from usage.authorize.build import period_of
from usage.authorize.requests import validation_error
from usage.types import Event

from .event_parsing import JSON_NULL, MAX_CLOCK_SKEW, MAX_EVENT_AGE, MAX_PROPERTIES_BYTES, CloudEventBody, EventBody
from .plan_history import PlanHistory

ValidatedEvent = Event | DomainError


_METERED = (Kind.QUOTA, Kind.RATE_LIMIT)


def validate_events(bodies: list[EventBody | DomainError], at: datetime, history: PlanHistory) -> list[ValidatedEvent]:
    """Return each event with its period, or its refusal. `at` is the organization's time. May query the database (`PlanHistory.at`)."""
    oldest, newest = at - MAX_EVENT_AGE, at + MAX_CLOCK_SKEW
    return [body if isinstance(body, DomainError) else _validate_event(body, at, oldest, newest, history) for body in bodies]


def _validate_event(body: EventBody, at: datetime, oldest: datetime, newest: datetime, history: PlanHistory) -> ValidatedEvent:  # noqa: PLR0911 - one return per reason
    key, reason = body.idempotency_key, body.reason or ""
    if key is not None and not (key.isascii() and key.isprintable()):
        return validation_error("idempotencyKey", "Use printable ASCII characters only.")
    if body.amount == 0:
        return validation_error("amount", "The amount must not be 0.")
    if body.amount < 0 and not reason.strip():
        return validation_error("reason", "A correction requires a reason.")
    if body.credit and body.amount > 0:
        return validation_error("credit", "Only a negative amount can be a credit.")
    if reason and ("\x00" in reason or not _is_valid_utf8(reason)):
        return validation_error("reason", "This text contains characters that cannot be stored.")
    occurred_at, entitlements_then = body.occurred_at or at, history.present
    if body.occurred_at is not None:
        # Times are compared before they are converted to UTC, because the conversion overflows near the years 1 and 9999.
        if occurred_at < oldest:
            return validation_error("occurredAt", "This time is more than 35 days in the past. Its period is closed.")
        if occurred_at > newest:
            return validation_error("occurredAt", "This time is more than 5 minutes in the future.")
        if occurred_at.tzinfo is not UTC:
            occurred_at = occurred_at.astimezone(UTC)
        entitlements_then = history.at(occurred_at)
    entitlement = entitlements_then.features.get(body.feature) or history.present.features.get(body.feature)
    if entitlement is None or entitlement.kind not in _METERED:
        return validation_error("feature", f"There is no meter named {body.feature[:64]!r}.")
    if body.credit and entitlement.kind is not Kind.QUOTA:
        return validation_error("credit", "Only features with a monthly quota can be credited.")
    properties = "" if body.properties is JSON_NULL else _text(body.properties)
    if properties and (len(properties.encode()) > MAX_PROPERTIES_BYTES or (properties[0] != "{" and not isinstance(body, CloudEventBody))):
        return validation_error("properties", f"This must be a JSON object of at most {MAX_PROPERTIES_BYTES} bytes in UTF-8.")
    moment = to_pg_micros(occurred_at)
    return Event(
        body.feature,
        body.amount,
        moment,
        fingerprints.event_fingerprint(body.feature, body.amount, None if body.occurred_at is None else moment, reason, credit=body.credit),
        period_of(entitlement, occurred_at),
        None if key is None else fingerprints.key_digest(key),
        reason,
        properties,
        body.credit,
    )


def _is_valid_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(raw: Raw) -> str:
    """Return the JSON text as received, or "" for null. Text that is not UTF-8 is replaced by a value that fails the length check."""
    try:
        text = bytes(raw).decode()
    except UnicodeDecodeError:
        return "?" * (MAX_PROPERTIES_BYTES + 1)
    return "" if text == "null" else text
