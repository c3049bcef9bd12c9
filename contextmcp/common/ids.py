"""Time-ordered identifiers. New index entries are added at one end, so inserts stay fast at any table size."""

import os
import time
from typing import Any
from uuid import UUID


def uuid7() -> UUID:
    """Return a version 7 UUID (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds << 80) | (0x7 << 76) | ((random >> 68) << 64) | (0b10 << 62) | (random & (1 << 62) - 1)
    return UUID(int=value)


def as_uuid(value: Any) -> UUID | None:
    """Return the UUID in external input, or None if the value is not a UUID."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
