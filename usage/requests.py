"""What callers send, checked. Both servers read bodies here, so both refuse the same things in the same words."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from contextmcp.common.errors import MalformedRequest, ValidationFailed

from .types import MOST_AT_ONCE, MOST_ITEMS, Item

MOST_HELD_SECONDS = 86_400
HELD_SECONDS = 900
Feature = Annotated[str, Meta(min_length=1, max_length=64)]
Amount = Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)]
T = TypeVar("T")
_PLACE = re.compile(r"(.*) - at `(?:key in )?\$\.?(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


class ItemBody(Struct, forbid_unknown_fields=True):
    feature: Feature
    amount: Amount = 1


class AuthorizeBody(Struct, forbid_unknown_fields=True, rename="camel"):
    feature: Feature | UnsetType = UNSET
    amount: Amount | UnsetType = UNSET
    hold: bool = False
    hold_seconds: Annotated[int, Meta(ge=1, le=MOST_HELD_SECONDS)] | UnsetType = UNSET
    items: Annotated[list[ItemBody], Meta(min_length=1, max_length=MOST_ITEMS)] | UnsetType = UNSET


class Request(Struct, frozen=True):
    """An `authorize`, understood."""

    items: list[Item]
    single: bool = True
    hold_seconds: int | None = None


class SettleBody(Struct, forbid_unknown_fields=True):
    amount: Annotated[int, Meta(ge=0, le=MOST_AT_ONCE)]


class LevelBody(Struct, forbid_unknown_fields=True):
    value: Annotated[int, Meta(ge=0, le=MOST_AT_ONCE * 1000)]


class EmptyBody(Struct, forbid_unknown_fields=True): ...


class AmountBody(Struct, forbid_unknown_fields=True):
    amount: Amount = 1


_authorize = msgspec.json.Decoder(AuthorizeBody)
_item = msgspec.json.Decoder(ItemBody)


def invalid(field: str | None, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[{"field": field, "message": message}])


def decoded(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """The body, or `MalformedRequest` (no JSON) or `ValidationFailed` (JSON of another shape)."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if "got `float`" in str(error) and (whole := whole_numbers(body)):
            return decoded(decoder, whole)
        raise invalid(*explained(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedRequest from None


def whole_numbers(body: bytes) -> bytes | None:
    """The body with 3.0 as 3, which it is to JSON, where that helps. Only asked once it was refused: nearly nobody writes it so."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    items = said.get("items")
    changed = False
    data = said.get("data")
    for each in [said, data, *(items if isinstance(items, list) else ())]:
        for name in ("amount", "value", "holdSeconds"):
            if isinstance(each, dict) and isinstance(each.get(name), float) and each[name].is_integer():
                each[name] = int(each[name])
                changed = True
    return msgspec.json.encode(said) if changed else None


def explained(text: str) -> tuple[str | None, str]:
    """msgspec's sentence as a field and a message."""
    place = _PLACE.fullmatch(text)
    message, path = (place[1], place[2]) if place else (text, "")
    for pattern, said in ((_UNKNOWN, "There is no such field."), (_MISSING, "This field is required.")):
        found = pattern.fullmatch(message)
        if found:
            return f"{path}.{found[1]}".lstrip(".")[:200], said
    return path or None, f"{message}."


def authorize(body: bytes) -> Request:
    """`{feature, amount?, hold?, holdSeconds?}` or `{items: [{feature, amount?}, ...]}`."""
    said = decoded(_authorize, body)
    if isinstance(said.items, UnsetType):
        if isinstance(said.feature, UnsetType):
            raise invalid("feature", "This field is required, or items.")
        item = Item(said.feature, 1 if isinstance(said.amount, UnsetType) else said.amount)
        return Request([item], hold_seconds=_held(said))
    for name in ("feature", "amount", "hold_seconds"):
        if not isinstance(getattr(said, name), UnsetType):
            raise invalid({"hold_seconds": "holdSeconds"}.get(name, name), "Give either items or this.")
    if said.hold:
        raise invalid("hold", "Only a single feature can be held.")
    return Request([Item(one.feature, one.amount) for one in said.items], single=False)


def _held(said: AuthorizeBody) -> int | None:
    if not said.hold:
        if not isinstance(said.hold_seconds, UnsetType):
            raise invalid("holdSeconds", "This needs hold.")
        return None
    return HELD_SECONDS if isinstance(said.hold_seconds, UnsetType) else said.hold_seconds


def check(body: bytes) -> Item:
    """`{feature, amount?}`."""
    said = decoded(_item, body)
    return Item(said.feature, said.amount)


def idempotency_key(key: str | None) -> str | None:
    if key is not None and not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise invalid("Idempotency-Key", "Give 1 to 255 printable ASCII characters.")
    return key


_bodies: dict[Any, Any] = {}


def read(kind: type[T], body: bytes) -> T:
    """Any of the small bodies. None at all reads as an empty object."""
    decoder: msgspec.json.Decoder[T] = _bodies.get(kind) or _bodies.setdefault(kind, msgspec.json.Decoder(kind))
    return decoded(decoder, body or b"{}")


def refuse_parameters(names: Iterable[str]) -> None:
    """Where none of these is known."""
    unknown = list(dict.fromkeys(names))
    if unknown:
        raise ValidationFailed(errors=[{"field": name[:64], "message": "There is no such parameter."} for name in unknown])
