"""Parse and validate request bodies. Django and the gate both use this module, so that their errors are identical."""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from contextmcp.common.errors import MalformedRequest, UnsupportedMediaType, ValidationFailed
from usage.types import MAX_AMOUNT, MAX_ITEMS, MAX_TOOL_NAME_LENGTH, Item

JSON = "application/json"
MAX_HOLD_SECONDS = 86_400
DEFAULT_HOLD_SECONDS = 900
Feature = Annotated[str, Meta(min_length=1, max_length=64)]
Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT)]
T = TypeVar("T")
_PLACE = re.compile(r"(.*) - at `(?:key in )?\$\.?(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


class ItemBody(Struct, forbid_unknown_fields=True):
    """An item of an `authorize` body, or the body of `check`."""

    feature: Feature
    amount: Amount = 1


class AuthorizeBody(Struct, forbid_unknown_fields=True, rename="camel"):
    """The body of `authorize`: one feature or several items."""

    feature: Feature | UnsetType = UNSET
    amount: Amount | UnsetType = UNSET
    hold: bool = False
    hold_seconds: Annotated[int, Meta(ge=1, le=MAX_HOLD_SECONDS)] | UnsetType = UNSET
    items: Annotated[list[ItemBody], Meta(min_length=1, max_length=MAX_ITEMS)] | UnsetType = UNSET


class Request(Struct, frozen=True):
    """A validated `authorize` request."""

    items: list[Item]
    single: bool = True
    hold_seconds: int | None = None
    # The MCP tool that is charged, or empty.
    tool: str = ""


class SettleBody(Struct, forbid_unknown_fields=True):
    """The body that settles a hold: the actual amount in units, and the MCP tool that used them, if any."""

    amount: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]
    tool: Annotated[str, Meta(max_length=MAX_TOOL_NAME_LENGTH, pattern="^[!-~]*$")] = ""


class GaugeBody(Struct, forbid_unknown_fields=True):
    """The body that sets a gauge: the units in use."""

    value: Annotated[int, Meta(ge=0, le=MAX_AMOUNT * 1000)]


class EmptyBody(Struct, forbid_unknown_fields=True):
    """A body without fields."""


class AmountBody(Struct, forbid_unknown_fields=True):
    """The body that decreases a gauge: the units to release."""

    amount: Amount = 1


_authorize = msgspec.json.Decoder(AuthorizeBody)
_item = msgspec.json.Decoder(ItemBody)


def validation_error(field: str | None, message: str) -> ValidationFailed:
    """Return a `ValidationFailed` for one field, or for the whole body if `field` is None."""
    return ValidationFailed(errors=[{"field": field, "message": message}])


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """Return the decoded body. Raise `MalformedRequest` if it is not JSON, or `ValidationFailed` if it does not match the schema."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if "got `float`" in str(error) and (normalized := coerce_integral_floats(body)):
            return decode(decoder, normalized)
        raise validation_error(*parse_validation_message(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedRequest from None


def coerce_integral_floats(body: bytes) -> bytes | None:
    """Return the body with integral floats such as 3.0 replaced by integers, or None if there are none.

    JSON does not distinguish 3.0 from 3. Call this only after decoding has failed, because such bodies are rare.
    """
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(payload, dict):
        return None
    items = payload.get("items")
    changed = False
    data = payload.get("data")
    for value in [payload, data, *(items if isinstance(items, list) else ())]:
        for name in ("amount", "value", "holdSeconds"):
            if isinstance(value, dict) and isinstance(value.get(name), float) and value[name].is_integer():
                value[name] = int(value[name])
                changed = True
    return msgspec.json.encode(payload) if changed else None


def parse_validation_message(text: str) -> tuple[str | None, str]:
    """Split msgspec's error message into a field and a message."""
    location = _PLACE.fullmatch(text)
    message, path = (location[1], location[2]) if location else (text, "")
    for pattern, description in ((_UNKNOWN, "Unknown field."), (_MISSING, "This field is required.")):
        match = pattern.fullmatch(message)
        if match:
            return f"{path}.{match[1]}".lstrip(".")[:200], description
    return path or None, f"{message}."


def check_media_type(content_type: str | None, accepted: tuple[str, ...]) -> None:
    """Raise `UnsupportedMediaType` unless the Content-Type is one of the accepted media types. Without the header, it is JSON."""
    kind = content_type or JSON
    if kind not in accepted and kind.partition(";")[0].strip().lower() not in accepted:
        raise UnsupportedMediaType(f"Send {' or '.join(accepted)}.")


def authorize(body: bytes) -> Request:
    """Parse `{feature, amount?, hold?, holdSeconds?}` or `{items: [{feature, amount?}, ...]}`."""
    payload = decode(_authorize, body)
    if isinstance(payload.items, UnsetType):
        if isinstance(payload.feature, UnsetType):
            raise validation_error("feature", "This field is required unless items is present.")
        item = Item(payload.feature, 1 if isinstance(payload.amount, UnsetType) else payload.amount)
        return Request([item], hold_seconds=_hold_seconds(payload))
    for name in ("feature", "amount", "hold_seconds"):
        if not isinstance(getattr(payload, name), UnsetType):
            raise validation_error({"hold_seconds": "holdSeconds"}.get(name, name), "Send either this field or items, not both.")
    if payload.hold:
        raise validation_error("hold", "Only a single feature can be held.")
    return Request([Item(item.feature, item.amount) for item in payload.items], single=False)


def _hold_seconds(payload: AuthorizeBody) -> int | None:
    if not payload.hold:
        if not isinstance(payload.hold_seconds, UnsetType):
            raise validation_error("holdSeconds", "This field requires hold to be true.")
        return None
    return DEFAULT_HOLD_SECONDS if isinstance(payload.hold_seconds, UnsetType) else payload.hold_seconds


def check(body: bytes) -> Item:
    """Parse `{feature, amount?}`."""
    payload = decode(_item, body)
    return Item(payload.feature, payload.amount)


_bodies: dict[Any, Any] = {}


def read(kind: type[T], body: bytes) -> T:
    """Parse a body of the given type. An empty body is read as an empty object."""
    decoder: msgspec.json.Decoder[T] = _bodies.get(kind) or _bodies.setdefault(kind, msgspec.json.Decoder(kind))
    return decode(decoder, body or b"{}")
