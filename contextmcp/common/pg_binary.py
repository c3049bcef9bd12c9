"""Encode parameters in PostgreSQL's binary format, for psycopg and for code that calls libpq directly.

Arrays are encoded column by column, which is faster than psycopg's list dumper: that inspects the type of every element.
"""

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from psycopg import adapters
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_HEAD = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i").pack
_BIG = struct.Struct("!q").pack
# Object IDs of the element types.
_BYTEA, _INT8, _TEXT, _TIMESTAMPTZ, _UUID = 17, 20, 25, 1184, 2950


class Uuids(list[bytes]):
    """UUIDs as 16 bytes each, sent as uuid[]."""


class Texts(list[str]):
    """Strings, sent as text[]."""


class Bytea(list[bytes]):
    """Byte strings, sent as bytea[]."""


class Ints(list[int]):
    """Integers, sent as bigint[]."""


class Times(list[datetime]):
    """Aware datetimes, sent as timestamptz[]."""


class TimestampMicros(list[int]):
    """Timestamps in microseconds since 2000-01-01 UTC, sent as timestamptz[]."""


class Encoded(bytes):
    """A parameter that `encode` returned. psycopg sends it unchanged and lets the server infer its type from the statement."""


def to_pg_micros(moment: datetime) -> int:
    """Convert an aware datetime to PostgreSQL microseconds since 2000-01-01 UTC."""
    elapsed = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def from_pg_micros(elapsed: int) -> datetime:
    """Convert PostgreSQL microseconds since 2000-01-01 UTC to an aware datetime."""
    return _EPOCH + timedelta(microseconds=elapsed)


@lru_cache(256)
def _fixed(length: int) -> struct.Struct:
    return struct.Struct("!" + "iq" * length)


def _head(element: int, length: int) -> bytes:
    return _HEAD.pack(1, 0, element, length, 1) if length else struct.pack("!iiI", 0, 0, element)


def _encode_int8(element: int, values: list[int]) -> bytes:
    words = [8] * (2 * len(values))
    words[1::2] = values
    return _head(element, len(values)) + _fixed(len(values)).pack(*words)


def _encode_variable(element: int, values: list[bytes]) -> bytes:
    head = _head(element, len(values))
    if not values:
        return head
    lengths = set(map(len, values))
    if len(lengths) == 1:
        # Values of equal length, such as digests, are joined with a single C call.
        length = _LENGTH(lengths.pop())
        return head + length + length.join(values)
    chunks = [head]
    for value in values:
        chunks.append(_LENGTH(len(value)))
        chunks.append(value)
    return b"".join(chunks)


def _encode_repeated(element: int, value: bytes, length: int) -> bytes:
    return _head(element, length) + (_LENGTH(len(value)) + value) * length


def _encode_uuids(values: Uuids) -> bytes:
    if values and values.count(values[0]) == len(values):
        return _encode_repeated(_UUID, values[0], len(values))
    return _encode_variable(_UUID, values)


def _encode_texts(values: Texts) -> bytes:
    if values and values.count(values[0]) == len(values):
        return _encode_repeated(_TEXT, values[0].encode(), len(values))
    return _encode_variable(_TEXT, [value.encode() for value in values])


_ENCODERS: dict[type[Any], Callable[[Any], bytes]] = {
    Uuids: _encode_uuids,
    Texts: _encode_texts,
    Bytea: lambda values: _encode_variable(_BYTEA, values),
    Ints: lambda values: _encode_int8(_INT8, values),
    Times: lambda values: _encode_int8(_TIMESTAMPTZ, [to_pg_micros(value) for value in values]),
    TimestampMicros: lambda values: _encode_int8(_TIMESTAMPTZ, values),
    UUID: lambda value: value.bytes,
    bytes: bytes,
    str: str.encode,
    datetime: lambda value: _BIG(to_pg_micros(value)),
}


def encode(value: Any) -> bytes:
    """Return the binary encoding of one parameter: a column of a type in this module, or a single value."""
    return _ENCODERS[type(value)](value)


class _EncodedDumper(Dumper):
    format = Format.BINARY
    oid = 0

    def dump(self, obj: Encoded) -> Buffer:
        return obj


def register() -> None:
    """Register `Encoded` with psycopg for all connections opened later."""
    adapters.register_dumper(Encoded, _EncodedDumper)
