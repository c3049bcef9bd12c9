"""Responses whose length is not known are sent part by part."""

import asyncio

import pytest

from contextmcp.common import asgi

SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/x",
    "raw_path": b"/x",
    "query_string": b"",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 80),
}


class Parts:
    """The body of a WSGI response, which records what happens to it."""

    def __init__(self, log, count, headers):
        self.log, self.count, self.headers = log, count, headers

    def __call__(self, environ, start_response):
        start_response("200 OK", self.headers)
        return self

    def __iter__(self):
        for number in range(self.count):
            self.log.append(f"made {number}")
            yield b"%d" % number

    def close(self):
        self.log.append("closed")


def serve(application, log, send=None):
    async def record(message):
        log.append(message.get("body", message.get("status")))

    async def receive():
        return {"type": "http.request", "body": b""}

    asyncio.run(asgi.Bridge(application, threads=1, body_limit=10)(dict(SCOPE), receive, send or record))


def test_each_part_is_sent_before_the_next_is_made():
    log = []
    serve(Parts(log, 3, [("Content-Type", "text/csv")]), log)
    assert log == ["made 0", 200, b"0", "made 1", b"1", "made 2", b"2", b"", "closed"]


def test_a_response_with_a_length_is_sent_at_once():
    log = []
    serve(Parts(log, 2, [("Content-Length", "2")]), log)
    assert log == ["made 0", "made 1", "closed", 200, b"01"]


def test_a_response_without_parts_is_sent():
    log = []
    serve(Parts(log, 0, []), log)
    assert log == [200, b"", b"", "closed"]


def test_a_client_that_does_not_read_ends_the_response(monkeypatch):
    monkeypatch.setattr(asgi, "SEND_SECONDS", 0.05)
    log = []

    async def stuck(message):
        if message.get("body") == b"1":
            await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        serve(Parts(log, 3, []), log, stuck)
    assert log == ["made 0", "made 1", "closed"]
