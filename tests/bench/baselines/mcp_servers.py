"""What the gateway is compared with: `python -m tests.bench.baselines.mcp_servers constant|forwarder|fastmcp [URL] --host H --port P`.

`constant` is the upstream server of all: it answers each request at once, so that only what is in front of it is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import Any, cast

import httptools
import uvloop

VERSION = "2026-07-28"
TOOL = {"name": "constant", "description": "Answer a constant", "inputSchema": {"type": "object"}}
CACHE = {"ttlMs": 60_000, "cacheScope": "public"}
RESULTS: dict[bytes, dict[str, Any]] = {
    b"tools/call": {"content": [{"type": "text", "text": "constant"}]},
    b"tools/list": {"tools": [TOOL], **CACHE},
    b"prompts/list": {"prompts": [], **CACHE},
    b"resources/list": {"resources": [], **CACHE},
    b"resources/templates/list": {"resourceTemplates": [], **CACHE},
    b"server/discover": {
        "supportedVersions": [VERSION],
        "capabilities": {"tools": {}},
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "constant", "version": "1"}},
        **CACHE,
    },
}
_METHOD = re.compile(rb'"method": ?"([^"]+)"')
_ID = re.compile(rb'"id": ?("[^"]*"|\d+)')


class Constant(asyncio.Protocol):
    """Answers by method, with the ID of the request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        method, identifier = _METHOD.search(self.body), _ID.search(self.body)
        result = BODIES.get(method[1]) if method else None
        body = b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (identifier[1], result) if identifier and result else b""
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % (b"200 OK" if body else b"202 Accepted", len(body)) + body)


BODIES = {method: json.dumps({**result, "resultType": "complete"}, separators=(",", ":")).encode() for method, result in RESULTS.items()}


async def serve_constant(host: str, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Constant, host, port, backlog=2048)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["constant", "forwarder", "fastmcp"])
    parser.add_argument("url", nargs="?", default="")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    if options.kind == "constant":
        uvloop.run(serve_constant(options.host, options.port))
    elif options.kind == "forwarder":
        from tests.gateway import forwarder

        uvloop.install()
        forwarder.main(options.port, options.url, [])
    else:
        from fastmcp.server import create_proxy

        create_proxy(options.url).run("http", host=options.host, port=options.port, show_banner=False, log_level="error")


if __name__ == "__main__":
    main()
