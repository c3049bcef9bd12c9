"""Positions in the timeline.

Entries are ordered by time, newest first; at equal times by the rank of their stream, and then by the row's key, highest first.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from contextmcp.common.errors import ValidationFailed

# A rank after all streams: the position is then before every entry at its time.
AFTER_ALL = 99


@dataclass(frozen=True)
class Cursor:
    """The position of an entry. `key` is the text of its row's key."""

    at: datetime
    rank: int
    key: str

    def encode(self) -> str:
        text = f"{self.at.isoformat()}|{self.rank}|{self.key}"
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the position that `encode` returned. Raises `ValidationFailed`."""
        try:
            at, rank, key = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split("|", 2)
            cursor = cls(datetime.fromisoformat(at), int(rank), key)
        except ValueError:
            raise invalid_cursor() from None
        if cursor.at.tzinfo is None or not 2000 <= cursor.at.year < 3000 or "\0" in key:
            raise invalid_cursor()
        return cursor


def invalid_cursor() -> ValidationFailed:
    message = "The position in the list is not valid. Open the first page again."
    return ValidationFailed(message, errors=[{"field": "before", "message": message}])
