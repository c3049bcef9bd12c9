"""Whole columns to Postgres as binary arrays. psycopg's own list dumper looks at every element; these know what they hold."""

import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from psycopg import adapters
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_HEAD = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i").pack
_BIG = struct.Struct("!q").pack


class Uuids(list[bytes]): ...


class Texts(list[str]): ...


class Blobs(list[bytes]): ...


class Ints(list[int]): ...


class Times(list[datetime]): ...


class Moments(list[int]):
    """The same, in microseconds since 2000."""


@lru_cache(256)
def _fixed(length: int) -> struct.Struct:
    return struct.Struct("!" + "iq" * length)


def _head(element: int, length: int) -> bytes:
    return _HEAD.pack(1, 0, element, length, 1) if length else struct.pack("!iiI", 0, 0, element)


def _whole(element: int, values: list[int]) -> bytes:
    words = [8] * (2 * len(values))
    words[1::2] = values
    return _head(element, len(values)) + _fixed(len(values)).pack(*words)


def _varied(element: int, values: list[bytes]) -> bytes:
    head = _head(element, len(values))
    if not values:
        return head
    lengths = set(map(len, values))
    if len(lengths) == 1:
        # Digests and the like: one C call for all of them.
        length = _LENGTH(lengths.pop())
        return head + length + length.join(values)
    chunks = [head]
    for value in values:
        chunks.append(_LENGTH(len(value)))
        chunks.append(value)
    return b"".join(chunks)


def _repeated(element: int, value: bytes, length: int) -> bytes:
    return _head(element, length) + (_LENGTH(len(value)) + value) * length


def microseconds(moment: datetime) -> int:
    """Since 2000, as Postgres counts them."""
    passed = moment - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def moment(passed: int) -> datetime:
    """And back."""
    return _EPOCH + timedelta(microseconds=passed)


class _Dumper(Dumper):
    format = Format.BINARY


class _UuidsDumper(_Dumper):
    oid = 2951

    def dump(self, obj: Uuids) -> Buffer:
        if obj and obj.count(obj[0]) == len(obj):
            return _repeated(2950, obj[0], len(obj))
        return _varied(2950, obj)


class _TextsDumper(_Dumper):
    oid = 1009

    def dump(self, obj: Texts) -> Buffer:
        if obj and obj.count(obj[0]) == len(obj):
            return _repeated(25, obj[0].encode(), len(obj))
        return _varied(25, [value.encode() for value in obj])


class _BlobsDumper(_Dumper):
    oid = 1001

    def dump(self, obj: Blobs) -> Buffer:
        return _varied(17, obj)


class _IntsDumper(_Dumper):
    oid = 1016

    def dump(self, obj: Ints) -> Buffer:
        return _whole(20, obj)


class _TimesDumper(_Dumper):
    oid = 1185

    def dump(self, obj: Times) -> Buffer:
        return _whole(1184, [microseconds(value) for value in obj])


class _MomentsDumper(_Dumper):
    oid = 1185

    def dump(self, obj: Moments) -> Buffer:
        return _whole(1184, obj)


_DUMPERS: dict[type[Any], type[Dumper]] = {
    Uuids: _UuidsDumper,
    Texts: _TextsDumper,
    Blobs: _BlobsDumper,
    Ints: _IntsDumper,
    Times: _TimesDumper,
    Moments: _MomentsDumper,
}


_RAW: dict[type[Any], Any] = {kind: made(kind).dump for kind, made in _DUMPERS.items()}
_RAW |= {bytes: bytes, str: str.encode, datetime: lambda value: _BIG(microseconds(value))}


def dumped(value: Any) -> bytes:
    """The bytes of one parameter, for those who speak to libpq themselves."""
    raw: bytes = _RAW[type(value)](value)
    return raw


def register() -> None:
    """For every connection made from here on."""
    for kind, dumper in _DUMPERS.items():
        adapters.register_dumper(kind, dumper)
