"""Server-sent events are found in chunks of any size."""

import pytest

from contextmcp.gateway.errors import ResponseTooLarge
from contextmcp.gateway.event_stream import EventSplitter, encode_event
from tests.support.properties import given, st


def split(stream, cuts=(), max_bytes=10_000):
    splitter, events, start = EventSplitter(max_bytes), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        events += splitter.feed(stream[start:cut])
        start = max(start, cut)
    return events


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_each_kind_of_line_end(end):
    stream = end.join(
        [b"event: message", b"data: {1}", b"", b": comment", b"", b"id: 7", b"data:{2", b"data: 3}", b"", b"data: unfinished"]
    )
    assert split(stream) == [b"{1}", b"{2\n3}"]


def test_a_byte_order_mark_is_skipped():
    assert split(b"\xef\xbb\xbfdata: a\n\n") == [b"a"]


EVENTS = [b'{"jsonrpc":"2.0"}', "{Füße}".encode(), b"x" * 300]


@given(st.sets(st.integers(0, 400)), st.sampled_from([b"\n", b"\r\n"]))
def test_cuts_anywhere_change_nothing(cuts, end):
    stream = b"".join(encode_event(event) for event in EVENTS).replace(b"\n", end)
    assert split(stream, [cut for cut in cuts if cut < len(stream)]) == EVENTS


def test_an_endless_event_is_refused():
    splitter = EventSplitter(1000)
    splitter.feed(b"data: " + b"x" * 900)
    with pytest.raises(ResponseTooLarge):
        splitter.feed(b"x" * 200)


def test_many_events_are_no_long_event():
    assert len(split(encode_event(b"x" * 90) * 100, max_bytes=1000)) == 100
