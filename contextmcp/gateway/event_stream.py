"""Split a stream of server-sent events into events while it is relayed.

Source: WHATWG HTML, "Server-sent events", section 9.2.6 (parsing an event stream).
"""

from __future__ import annotations

import re

from .errors import ResponseTooLarge

# A line ends with CRLF, LF or CR, and an empty line ends an event. The groups are atomic, so that CRLF is never read as two line ends.
_END_OF_EVENT = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_END_OF_LINE = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventSplitter:
    """Find complete events in chunks of any size. At most `max_bytes` of an incomplete event are kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pending = bytearray()
        self._searched = 0
        self._is_first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of each event that this chunk completes, without events that carry no data.

        Raises:
            ResponseTooLarge: an event is longer than `max_bytes`.
        """
        self._pending += chunk
        events, start = [], 0
        # The end of an event may begin in the last three bytes of the earlier chunks.
        position = max(0, self._searched - 3)
        while match := _END_OF_EVENT.search(self._pending, position):
            if data := self._data(bytes(self._pending[start : match.start()])):
                events.append(data)
            start = position = match.end()
        del self._pending[:start]
        self._searched = len(self._pending)
        if self._searched > self._max_bytes:
            raise ResponseTooLarge("The server's response is too large.")
        return events

    def _data(self, event: bytes) -> bytes:
        if self._is_first:
            event, self._is_first = event.removeprefix(_BYTE_ORDER_MARK), False
        lines = []
        for line in _END_OF_LINE.split(event):
            if line.startswith(b"data:"):
                lines.append(line[5:].removeprefix(b" "))
        return b"\n".join(lines)


def encode_event(data: bytes) -> bytes:
    """Return one event that carries `data`, which has no line ends."""
    return b"event: message\ndata: " + data + b"\n\n"
