"""One granted call, as a line: a checksum, then JSON. A line that is torn, or was never finished, is told from a whole one."""

from datetime import datetime
from uuid import UUID
from zlib import crc32

import msgspec
from msgspec import Struct

from usage.rows import in_row
from usage.types import NO_KEY, NOBODY, Ask, GiveBack, Kept, Period, Quota, Taken, Who


class _Take(Struct, omit_defaults=True):
    feature: str
    amount: int
    start: datetime | None = None
    end: datetime | None = None


class _Line(Struct, omit_defaults=True):
    organization: UUID
    at: datetime
    digest: bytes
    fingerprint: bytes
    answer: str
    takes: list[_Take]
    key: UUID = NO_KEY
    member: int = NOBODY


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


def of_ask(ask: Ask, body: bytes) -> bytes:
    """What must be counted of it, and `body`, the answer that a repeat of it gets."""
    assert ask.digest is not None
    takes = []
    for part in ask.parts:
        if isinstance(part, Quota):
            takes.append(_Take(part.feature, part.amount, part.period.start, part.period.end))
        elif in_row(part):
            takes.append(_Take(part.feature, -part.amount if isinstance(part, GiveBack) else part.amount))
    who = ask.who
    organization, key = UUID(bytes=who.organization), UUID(bytes=who.key)
    said = _encoder.encode(_Line(organization, ask.at, ask.digest, ask.fingerprint, body.decode(), takes, key, who.member))
    return b"%08x %s\n" % (crc32(said), said)


def read(line: bytes) -> Kept | None:
    """The call again; None where the line is not whole."""
    said = line[9:-1]
    try:
        if line[-1:] != b"\n" or int(line[:8], 16) != crc32(said):
            return None
        found = _decoder.decode(said)
    except (ValueError, msgspec.MsgspecError):
        return None
    takes = [Taken(one.feature, one.amount, Period(one.start, one.end) if one.start and one.end else None) for one in found.takes]
    return Kept(Who.of(found.organization, found.key, found.member), found.at, takes, found.fingerprint, found.digest, found.answer)
