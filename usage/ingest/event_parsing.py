"""Parse and validate usage events one by one, so that an invalid event is refused alone, with its own error."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from contextmcp.common.errors import DomainError, MalformedRequest, PayloadTooLarge
from contextmcp.common.pg_binary import to_pg_micros
from entitlements.types import Entitlements, Kind
from usage.authorize import fingerprints
from usage.authorize.build import period_of
from usage.authorize.requests import JSON, Feature, coerce_integral_floats, decode, parse_validation_message, validation_error
from usage.types import MAX_AMOUNT, Event

from . import json_fragments

MAX_EVENTS = 1_000
MAX_EVENT_AGE = timedelta(days=35)
MAX_CLOCK_SKEW = timedelta(minutes=5)
MAX_PROPERTIES_BYTES = 4_096
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
CONTENT_TYPES = (JSON, CLOUD_EVENT, CLOUD_EVENTS)
Change = Annotated[int, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
Key = Annotated[str, Meta(min_length=1, max_length=255)]
Reason = Annotated[str, Meta(max_length=500)]
Moment = Annotated[datetime, Meta(tz=True)]
Parsed = Event | DomainError
T = TypeVar("T")


_NONE = Raw(b"null")
_METERED = (Kind.QUOTA, Kind.RATE_LIMIT)


class EventBody(Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    """A usage event as received."""

    feature: Feature
    amount: Change = 1
    idempotency_key: Key | None = None
    occurred_at: Moment | None = None
    reason: Reason | None = None
    properties: Raw = _NONE
    credit: bool = False


class CloudEventBody(EventBody):
    """An event from a CloudEvent, whose `properties` may be any JSON value."""


class CloudData(Struct):
    """The fields that are read from a CloudEvent's `data`."""

    amount: Change = 1
    reason: Reason | None = None
    credit: bool = False


class CloudEvent(Struct):
    """CloudEvents 1.0, structured: `type` is the feature, `source` and `id` are the idempotency key.

    `data` may hold amount, reason and credit.
    """

    specversion: Annotated[str, Meta(pattern=r"^1\.0$")]
    id: Annotated[str, Meta(min_length=1, max_length=120)]
    source: Annotated[str, Meta(min_length=1, max_length=120)]
    type: Feature
    time: Moment | None = None
    datacontenttype: str | None = None
    data: Raw = _NONE
    data_base64: Raw | UnsetType = UNSET


class _Wrapped(Struct, forbid_unknown_fields=True):
    events: list[Raw]


class _Whole(Struct, forbid_unknown_fields=True):
    events: list[EventBody]


_whole = msgspec.json.Decoder(_Whole)
_wrapped = msgspec.json.Decoder(_Wrapped)
_list = msgspec.json.Decoder(list[Raw])
_event = msgspec.json.Decoder(EventBody)
_cloud = msgspec.json.Decoder(CloudEvent)
_data = msgspec.json.Decoder(CloudData)
_raw = msgspec.json.Decoder(Raw)


class PlanHistory:
    """The organization's entitlements at any time of the last weeks. Earlier plans are read only when a late event needs them."""

    def __init__(self, present: Entitlements, read: Callable[[datetime], Entitlements]) -> None:
        self.present = present
        self._read = read
        self._past: list[Entitlements] = []
        # Start of the time for which `present` is known to apply.
        self._since = present.since or datetime.min.replace(tzinfo=UTC)

    def covers(self, moment: datetime) -> bool:
        """Return whether `at(moment)` needs no database query."""
        return moment >= self._since or any(entitlements.holds_at(moment) for entitlements in self._past)

    def at(self, moment: datetime) -> Entitlements:
        """Return the entitlements at `moment`. Queries the database unless `covers(moment)`; do not call it on the event loop then."""
        if moment >= self._since:
            return self.present
        for entitlements in self._past:
            if entitlements.holds_at(moment):
                return entitlements
        # All plans from the oldest accepted time up to `moment` are read, so that later calls find them in memory.
        entitlements = self._read(moment - MAX_EVENT_AGE)
        while not entitlements.holds_at(moment) and entitlements.changes_at is not None:
            self._past.append(entitlements)
            entitlements = self._read(entitlements.changes_at)
        if entitlements.holds_at(self._since):
            # The entitlements have not changed since `moment`.
            self._since = entitlements.since or moment
            return self.present
        self._past.append(entitlements)
        return entitlements


def parse(body: bytes, content_type: str, key: str | None) -> tuple[list[EventBody | DomainError], bool]:
    """Return the events, and whether the body was a single event instead of a list.

    `key` is the request's idempotency key. Events without a key get it, with their position appended if they are in a list. Raises
    `MalformedRequest`, `ValidationFailed` or `PayloadTooLarge` for the body as a whole.
    """
    kind = content_type.partition(";")[0].strip().lower() or JSON
    single = False
    bodies: list[EventBody | DomainError]
    if kind == CLOUD_EVENTS:
        bodies = [_parse_event(raw, cloud=True) for raw in _check_batch_size(_elements(body))]
    elif kind == CLOUD_EVENT:
        bodies, single = [_parse_event(decode(_raw, body), cloud=True)], True
    else:
        start = body.lstrip()[:1]
        if start == b"[":
            bodies = [_parse_event(raw) for raw in _check_batch_size(_elements(body))]
        elif _is_wrapped(body):
            bodies = _parse_wrapped(body)
        else:
            bodies, single = [decode(_event, body)], True
    if key is not None:
        for number, event in enumerate(bodies):
            if isinstance(event, EventBody) and event.idempotency_key is None:
                event.idempotency_key = key if single else f"{key}#{number}"
    if single and isinstance(bodies[0], DomainError):
        raise bodies[0]
    return bodies, single


def _is_wrapped(body: bytes) -> bool:
    """Return whether the body is an object with `events`. This is cheap, because the values are not decoded."""
    try:
        return "events" in _keys.decode(body)
    except msgspec.ValidationError:
        return False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if json_fragments.split(body) is None:
            raise MalformedRequest from None
        return json_fragments.member(body, "events") is not None


_keys = msgspec.json.Decoder(dict[str, Raw])


def _parse_wrapped(body: bytes) -> list[EventBody | DomainError]:
    try:
        return list(_check_batch_size(_whole.decode(body).events))
    except msgspec.ValidationError:
        return [_parse_event(raw) for raw in _check_batch_size(decode(_wrapped, body).events)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if len(json_fragments.split(body) or ()) != 1:
            raise MalformedRequest from None
        return [_parse_event(raw) for raw in _check_batch_size(_elements(json_fragments.member(body, "events") or b""))]


def _elements(body: bytes) -> list[Raw]:
    """Return the elements of an array, even if some are not valid JSON. Raise `MalformedRequest` or `ValidationFailed`."""
    try:
        return decode(_list, body)
    except MalformedRequest:
        fragments = json_fragments.split(body) if body.lstrip()[:1] == b"[" else None
        if fragments is None:
            raise
        return [Raw(element) for element in fragments]


def _check_batch_size(events: list[Any]) -> list[Any]:
    if not events:
        raise validation_error("events", "Send at least one event.")
    if len(events) > MAX_EVENTS:
        raise PayloadTooLarge(f"Send at most {MAX_EVENTS} events per request.")
    return events


def _parse_event(raw: Raw, *, cloud: bool = False) -> EventBody | DomainError:
    try:
        return _from_cloud(_decode_event(_cloud, raw)) if cloud else _decode_event(_event, raw)
    except msgspec.ValidationError as error:
        return validation_error(*parse_validation_message(str(error)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return validation_error(None, "This is not valid JSON.")
    except DomainError as refusal:
        return refusal


def _decode_event(decoder: "msgspec.json.Decoder[T]", raw: Raw) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        if "got `float`" in str(error) and (normalized := coerce_integral_floats(bytes(raw))):
            return decoder.decode(normalized)
        raise


def _from_cloud(event: CloudEvent) -> EventBody:
    """Convert a CloudEvent to an event. Raise `ValidationFailed` if its data is binary or not a JSON object."""
    if event.data_base64 is not UNSET:
        raise validation_error("data_base64", "Send the data as a JSON object in `data`; binary data cannot state an amount.")
    data, raw = CloudData(), event.data
    if raw is not _NONE and bytes(raw).strip() != b"null":
        if bytes(raw).lstrip()[:1] != b"{":
            raise validation_error("data", "This must be a JSON object.")
        data = _decode_event(_data, raw)
    return CloudEventBody(event.type, data.amount, cloud_event_key(event.source, event.id), event.time, data.reason, raw, data.credit)


def cloud_event_key(source: str, identifier: str) -> str:
    """Return the idempotency key of a CloudEvent, which `source` and `id` together identify (CloudEvents 1.0, section 3.1).

    Spaces in both are percent-encoded, so that no two different pairs have the same key.
    """
    return " ".join(part.replace("%", "%25").replace(" ", "%20") for part in (source, identifier))


def validate_events(bodies: list[EventBody | DomainError], at: datetime, history: PlanHistory) -> list[Parsed]:
    """Return each event with its period, or its refusal. `at` is the organization's time. May query the database (`PlanHistory.at`)."""
    oldest, newest = at - MAX_EVENT_AGE, at + MAX_CLOCK_SKEW
    return [body if isinstance(body, DomainError) else _validate_event(body, at, oldest, newest, history) for body in bodies]


def _validate_event(body: EventBody, at: datetime, oldest: datetime, newest: datetime, history: PlanHistory) -> Parsed:  # noqa: PLR0911 - one return per reason
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
    properties = "" if body.properties is _NONE else _text(body.properties)
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
