"""Events as they are sent, checked one by one: a bad one is refused alone and says why."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from contextmcp.common.errors import DomainError, MalformedRequest, PayloadTooLarge
from entitlements.types import Entitlements, Kind

from . import digests, fragments
from .asking import period_of
from .binary import microseconds
from .requests import Feature, decoded, explained, invalid, whole_numbers
from .types import MOST_AT_ONCE, Event

MOST_EVENTS = 1_000
LATEST = timedelta(days=35)
EARLIEST = timedelta(minutes=5)
MOST_PROPERTIES = 4_096
JSON = "application/json"
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
CONTENT_TYPES = (JSON, CLOUD_EVENT, CLOUD_EVENTS)
Change = Annotated[int, Meta(ge=-MOST_AT_ONCE, le=MOST_AT_ONCE)]
Key = Annotated[str, Meta(min_length=1, max_length=255)]
Reason = Annotated[str, Meta(max_length=500)]
Moment = Annotated[datetime, Meta(tz=True)]
Parsed = Event | DomainError
T = TypeVar("T")


_NONE = Raw(b"null")
_METERED = (Kind.QUOTA, Kind.RATE)


class EventBody(Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    feature: Feature
    amount: Change = 1
    idempotency_key: Key | None = None
    occurred_at: Moment | None = None
    reason: Reason | None = None
    properties: Raw = _NONE


class CloudBody(EventBody):
    """The same from a CloudEvent, whose data may be anything."""


class CloudData(Struct):
    amount: Change = 1
    reason: Reason | None = None


class CloudEvent(Struct):
    """CloudEvents 1.0, structured: `type` is the feature, `source` and `id` are the idempotency key, `data` may hold amount and reason."""

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


class History:
    """What the plan was at any moment of the last weeks. The past is read only when an event is late enough to need it."""

    def __init__(self, present: Entitlements, read: Callable[[datetime], Entitlements]) -> None:
        self.present = present
        self._read = read
        self._past: list[Entitlements] = []
        # From when on the present is the answer. At first all that is known is that it was when it was read.
        self._since = present.since or datetime.min.replace(tzinfo=UTC)

    def covers(self, moment: datetime) -> bool:
        """Whether `at` answers without reading."""
        return moment >= self._since or any(one.holds_at(moment) for one in self._past)

    def at(self, moment: datetime) -> Entitlements:
        if moment >= self._since:
            return self.present
        for known in self._past:
            if known.holds_at(moment):
                return known
        # From the oldest an event may be, change by change: whoever comes later in these weeks finds it read.
        found = self._read(moment - LATEST)
        while not found.holds_at(moment) and found.changes_at is not None:
            self._past.append(found)
            found = self._read(found.changes_at)
        if found.holds_at(self._since):
            # Nothing changed between then and now.
            self._since = found.since or moment
            return self.present
        self._past.append(found)
        return found


def parse(body: bytes, content_type: str, key: str | None) -> tuple[list[EventBody | DomainError], bool]:
    """The events, and whether it was a single one. `key` is the request's: events without one of their own take it, numbered."""
    kind = content_type.partition(";")[0].strip().lower() or JSON
    single = False
    bodies: list[EventBody | DomainError]
    if kind == CLOUD_EVENTS:
        bodies = [_one(raw, cloud=True) for raw in _few(_elements(body))]
    elif kind == CLOUD_EVENT:
        bodies, single = [_one(decoded(_raw, body), cloud=True)], True
    else:
        start = body.lstrip()[:1]
        if start == b"[":
            bodies = [_one(raw) for raw in _few(_elements(body))]
        elif _is_wrapped(body):
            bodies = _many(body)
        else:
            bodies, single = [decoded(_event, body)], True
    if key is not None:
        for number, event in enumerate(bodies):
            if isinstance(event, EventBody) and event.idempotency_key is None:
                event.idempotency_key = key if single else f"{key}#{number}"
    if single and isinstance(bodies[0], DomainError):
        raise bodies[0]
    return bodies, single


def _is_wrapped(body: bytes) -> bool:
    """Whether it is an object with `events`. Cheap: everything in it is only skipped over."""
    try:
        return "events" in _keys.decode(body)
    except msgspec.ValidationError:
        return False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if fragments.split(body) is None:
            raise MalformedRequest from None
        return fragments.member(body, "events") is not None


_keys = msgspec.json.Decoder(dict[str, Raw])


def _many(body: bytes) -> list[EventBody | DomainError]:
    try:
        return list(_few(_whole.decode(body).events))
    except msgspec.ValidationError:
        return [_one(raw) for raw in _few(decoded(_wrapped, body).events)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if len(fragments.split(body) or ()) != 1:
            raise MalformedRequest from None
        return [_one(raw) for raw in _few(_elements(fragments.member(body, "events") or b""))]


def _elements(body: bytes) -> list[Raw]:
    """Return the elements of an array, also when some of them are no valid JSON. Raises MalformedRequest, ValidationFailed."""
    try:
        return decoded(_list, body)
    except MalformedRequest:
        found = fragments.split(body) if body.lstrip()[:1] == b"[" else None
        if found is None:
            raise
        return [Raw(element) for element in found]


def _few(events: list[Any]) -> list[Any]:
    if not events:
        raise invalid("events", "Give at least one event.")
    if len(events) > MOST_EVENTS:
        raise PayloadTooLarge(f"Give at most {MOST_EVENTS} events at a time.")
    return events


def _one(raw: Raw, *, cloud: bool = False) -> EventBody | DomainError:
    try:
        return _from_cloud(_decoded_one(_cloud, raw)) if cloud else _decoded_one(_event, raw)
    except msgspec.ValidationError as error:
        return invalid(*explained(str(error)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return invalid(None, "This is not valid JSON.")
    except DomainError as refusal:
        return refusal


def _decoded_one(decoder: "msgspec.json.Decoder[T]", raw: Raw) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        if "got `float`" in str(error) and (whole := whole_numbers(bytes(raw))):
            return decoder.decode(whole)
        raise


def _from_cloud(event: CloudEvent) -> EventBody:
    """Return the event that a CloudEvent stands for. Raises ValidationFailed for data that cannot hold an amount in plain sight."""
    if event.data_base64 is not UNSET:
        raise invalid("data_base64", "Send the data as a JSON object in `data`; binary data cannot state an amount.")
    data, raw = CloudData(), event.data
    if raw is not _NONE and bytes(raw).strip() != b"null":
        if bytes(raw).lstrip()[:1] != b"{":
            raise invalid("data", "Give a JSON object.")
        data = _decoded_one(_data, raw)
    return CloudBody(event.type, data.amount, cloud_key(event.source, event.id), event.time, data.reason, raw)


def cloud_key(source: str, identifier: str) -> str:
    """Return the idempotency key of a CloudEvent, which `source` and `id` identify together (CloudEvents 1.0, 3.1).

    A space in either is percent-encoded, so that no other pair has the same key.
    """
    return " ".join(part.replace("%", "%25").replace(" ", "%20") for part in (source, identifier))


def understand(bodies: list[EventBody | DomainError], at: datetime, history: History) -> list[Parsed]:
    """Each event with its period, or why it is refused. `at` is the organization's time."""
    oldest, newest = at - LATEST, at + EARLIEST
    return [body if isinstance(body, DomainError) else _understood(body, at, oldest, newest, history) for body in bodies]


def _understood(body: EventBody, at: datetime, oldest: datetime, newest: datetime, history: History) -> Parsed:  # noqa: PLR0911 - one line a reason
    key, reason = body.idempotency_key, body.reason or ""
    if key is not None and not (key.isascii() and key.isprintable()):
        return invalid("idempotencyKey", "Give printable ASCII characters.")
    if body.amount == 0:
        return invalid("amount", "Give an amount other than 0.")
    if body.amount < 0 and not reason.strip():
        return invalid("reason", "A correction needs a reason.")
    if reason and ("\x00" in reason or not _sound(reason)):
        return invalid("reason", "This text cannot be stored.")
    occurred, then = body.occurred_at or at, history.present
    if body.occurred_at is not None:
        # Compared before it is converted: the first and last days of the calendar exist in some zones only.
        if occurred < oldest:
            return invalid("occurredAt", "This is more than 35 days ago; its period is closed.")
        if occurred > newest:
            return invalid("occurredAt", "This is more than 5 minutes ahead.")
        if occurred.tzinfo is not UTC:
            occurred = occurred.astimezone(UTC)
        then = history.at(occurred)
    allowance = then.allowances.get(body.feature) or history.present.allowances.get(body.feature)
    if allowance is None or allowance.kind not in _METERED:
        return invalid("feature", f"There is no meter named {body.feature[:64]!r}.")
    properties = "" if body.properties is _NONE else _text(body.properties)
    if properties and (len(properties.encode()) > MOST_PROPERTIES or (properties[0] != "{" and not isinstance(body, CloudBody))):
        return invalid("properties", f"Give an object of at most {MOST_PROPERTIES} bytes, in UTF-8.")
    moment = microseconds(occurred)
    return Event(
        body.feature,
        body.amount,
        moment,
        digests.of_event(body.feature, body.amount, None if body.occurred_at is None else moment, reason),
        None if key is None else digests.of_key(key),
        reason,
        properties,
        period_of(allowance, occurred) if allowance.kind is Kind.QUOTA else None,
    )


def _sound(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(raw: Raw) -> str:
    """As it was sent; nothing for null, and something no one accepts for what is not UTF-8."""
    try:
        text = bytes(raw).decode()
    except UnicodeDecodeError:
        return "?" * (MOST_PROPERTIES + 1)
    return "" if text == "null" else text
