"""Parse usage events one by one, so that an invalid event is refused alone, with its own error. `event_validation` validates them."""

from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from contextmcp.common.errors import DomainError, MalformedRequest, PayloadTooLarge
from usage.authorize.requests import JSON, Feature, coerce_integral_floats, decode, parse_validation_message, validation_error
from usage.types import MAX_AMOUNT

from . import json_fragments

MAX_EVENTS = 1_000
MAX_EVENT_AGE = timedelta(days=35)
MAX_CLOCK_SKEW = timedelta(minutes=5)
MAX_PROPERTIES_BYTES = 4_096
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
CONTENT_TYPES = (JSON, CLOUD_EVENT, CLOUD_EVENTS)
SignedAmount = Annotated[int, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
IdempotencyKey = Annotated[str, Meta(min_length=1, max_length=255)]
Reason = Annotated[str, Meta(max_length=500)]
AwareTime = Annotated[datetime, Meta(tz=True)]
T = TypeVar("T")


JSON_NULL = Raw(b"null")


class EventBody(Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    """A usage event as received."""

    feature: Feature
    amount: SignedAmount = 1
    idempotency_key: IdempotencyKey | None = None
    occurred_at: AwareTime | None = None
    reason: Reason | None = None
    properties: Raw = JSON_NULL
    credit: bool = False


class CloudEventBody(EventBody):
    """An event from a CloudEvent, whose `properties` may be any JSON value."""


class CloudData(Struct):
    """The fields that are read from a CloudEvent's `data`."""

    amount: SignedAmount = 1
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
    time: AwareTime | None = None
    datacontenttype: str | None = None
    data: Raw = JSON_NULL
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


def parse(body: bytes, content_type: str, key: str | None) -> tuple[list[EventBody | DomainError], bool]:
    """Return the events, and whether the body was a single event instead of a list.

    `key` is the request's idempotency key. Events without their own key get this key. If the body is a list, the position of the event is
    appended to it. Raises `MalformedRequest`, `ValidationFailed` or `PayloadTooLarge` for the body as a whole.
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
        raise validation_error("data_base64", "Send a JSON object in `data`. Binary data is not supported.")
    data, raw = CloudData(), event.data
    if raw is not JSON_NULL and bytes(raw).strip() != b"null":
        if bytes(raw).lstrip()[:1] != b"{":
            raise validation_error("data", "This must be a JSON object.")
        data = _decode_event(_data, raw)
    return CloudEventBody(event.type, data.amount, cloud_event_key(event.source, event.id), event.time, data.reason, raw, data.credit)


def cloud_event_key(source: str, identifier: str) -> str:
    """Return the idempotency key of a CloudEvent, which `source` and `id` together identify (CloudEvents 1.0, section 3.1).

    Spaces in both are percent-encoded, so that no two different pairs have the same key.
    """
    return " ".join(part.replace("%", "%25").replace(" ", "%20") for part in (source, identifier))
