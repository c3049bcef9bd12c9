"""Servers that do nothing: the upper bound for any application behind granian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BODY = b'{"ok":true}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]
HEADER_BYTES = [(name.lower().encode(), value.encode()) for name, value in HEADERS]


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", HEADERS)
    return [BODY]


async def asgi(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": HEADER_BYTES})
    await send({"type": "http.response.body", "body": BODY})


class Rsgi:
    """Answer by granian's own interface, RSGI, which the gate uses."""

    headers = [(name.lower(), value) for name, value in HEADERS]

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        protocol.response_bytes(200, self.headers, BODY)
