"""A plain streaming forwarder on aiohttp. Run it with a port, the upstream server's URL, and headers to add (`Name: value`).

The conformance suite cannot send an Authorization header, so this adds it. The benchmark compares the gateway with it.
"""

from __future__ import annotations

import sys

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"})


class Forwarder:
    """Sends each request to the upstream server and streams the answer back."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url, self._headers = url, headers

    async def open(self, app: web.Application) -> None:
        connector = TCPConnector(limit=0)
        self._session = ClientSession(connector=connector, timeout=ClientTimeout(total=None), auto_decompress=False)

    async def close(self, app: web.Application) -> None:
        await self._session.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
        body = await request.read()
        async with self._session.request(
            request.method, self._url, headers=[*headers, *self._headers.items()], data=body or None, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP or name.lower() == "content-length":
                    response.headers.add(name, value)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def main(port: int, url: str, headers: list[str]) -> None:
    forwarder = Forwarder(url, dict(header.split(": ", 1) for header in headers))
    app = web.Application(client_max_size=2**26)
    app.on_startup.append(forwarder.open)
    app.on_cleanup.append(forwarder.close)
    app.router.add_route("*", "/{path:.*}", forwarder.handle)
    # A client that leaves ends the request to the upstream server.
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None, handler_cancellation=True, shutdown_timeout=1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
