"""Encode a granted call as a line with a checksum and JSON. The checksum detects incomplete lines."""

from datetime import datetime
from uuid import UUID
from zlib import crc32

import msgspec
from msgspec import Struct

from usage.decision.rows import has_gauge_row
from usage.types import NO_KEY, NO_MEMBER, AuthorizeCommand, GaugeDecrease, Period, Quota, SpooledAuthorization, SpooledItem, UsageSubject


class _Item(Struct, omit_defaults=True):
    feature: str
    amount: int
    start: datetime | None = None
    end: datetime | None = None


class _Record(Struct, omit_defaults=True):
    organization: UUID
    at: datetime
    digest: bytes
    fingerprint: bytes
    answer: str
    items: list[_Item]
    key: UUID = NO_KEY
    member: int = NO_MEMBER


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Record)


def encode_authorization(command: AuthorizeCommand, body: bytes) -> bytes:
    """Encode the amounts to count, and `body`, which is the response that a repeated request receives."""
    assert command.digest is not None
    items = []
    for item in command.items:
        if isinstance(item, Quota):
            items.append(_Item(item.feature, item.amount, item.period.start, item.period.end))
        elif has_gauge_row(item):
            items.append(_Item(item.feature, -item.amount if isinstance(item, GaugeDecrease) else item.amount))
    subject = command.subject
    organization, key = UUID(bytes=subject.organization), UUID(bytes=subject.key)
    payload = _encoder.encode(
        _Record(organization, command.at, command.digest, command.fingerprint, body.decode(), items, key, subject.member)
    )
    return b"%08x %s\n" % (crc32(payload), payload)


def decode(line: bytes) -> SpooledAuthorization | None:
    """Decode a line, or return None if it is incomplete or damaged."""
    payload = line[9:-1]
    try:
        if line[-1:] != b"\n" or int(line[:8], 16) != crc32(payload):
            return None
        record = _decoder.decode(payload)
    except (ValueError, msgspec.MsgspecError):
        return None
    items = [
        SpooledItem(item.feature, item.amount, Period(item.start, item.end) if item.start and item.end else None) for item in record.items
    ]
    return SpooledAuthorization(
        UsageSubject.of(record.organization, record.key, record.member), record.at, items, record.fingerprint, record.digest, record.answer
    )
