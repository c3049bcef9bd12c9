"""The gate's application behind ASGI and RSGI, for HTTP servers that others maintain: what `tests.bench servers` compares.

It limits bodies, and checks request lines and headers as the gate's own server does. ADR-018 lists its other protections.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import Any

import django
from django.conf import settings

from contextmcp.startup import load_settings

load_settings("gate")
APPS = ("django.contrib.auth", "django.contrib.contenttypes", "accounts", "entitlements", "usage")
settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app in APPS]
django.setup()

from contextmcp.common.errors import DomainError, PayloadTooLarge  # noqa: E402 - Django must be set up first
from contextmcp.common.http_rules import add_repeated_header, check_request, combine_headers  # noqa: E402
from contextmcp.gate.app import MAX_BODY_BYTES, NO_STORE, GateApp, error_response  # noqa: E402
from contextmcp.gate.http_messages import JSON_HEADERS, HttpRequest, HttpResponse  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
JSON = (b"content-type", b"application/json")
NO_STORE_BYTES = (NO_STORE[0].encode(), NO_STORE[1].encode())


class Gate:
    """`GateApp` behind ASGI. The event loop exists when the first request comes."""

    def __init__(self) -> None:
        self._app: GateApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            request = await _read(scope, receive)
            if request is None:
                return
            response = await self.app.answer(request)
        except DomainError as refusal:
            request, response = None, error_response(refusal)
        headers = (
            [JSON] if response.headers is JSON_HEADERS else [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
        )
        if request is not None:
            headers += [(b"x-request-id", request.request_id.encode()), NO_STORE_BYTES]
        headers.append((b"content-length", b"%d" % len(response.body)))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    @property
    def app(self) -> GateApp:
        if self._app is None:
            self._app = _start()
        return self._app


async def _read(scope: Scope, receive: Receive) -> HttpRequest | None:
    """Return the complete request, or None if the client left before."""
    headers, refusal = {}, None
    try:
        headers = combine_headers(scope["headers"])
        check_request(scope["raw_path"], headers)
    except DomainError as error:
        refusal = error
    body = b""
    if scope["method"] != "GET":
        if refusal is None and int(headers.get("content-length", "0")) > MAX_BODY_BYTES:
            raise PayloadTooLarge
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            body = body + part if body else part
            if len(body) > MAX_BODY_BYTES:
                raise PayloadTooLarge
            if not message.get("more_body"):
                break
    return HttpRequest(scope["method"], scope["path"], headers, body, scope["query_string"].decode("latin-1"), refusal=refusal)


class RsgiGate:
    """`GateApp` behind granian's own interface, which passes a body in one call."""

    def __init__(self) -> None:
        self._app: GateApp | None = None

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if self._app is None:
            self._app = _start()
        headers: dict[str, str] = {}
        refusal = None
        try:
            for name, value in scope.headers.items():
                if name in headers:
                    add_repeated_header(headers, name, value)
                else:
                    headers[name] = value
            check_request(scope.path.encode(), headers)
        except DomainError as error:
            refusal = error
        body = await protocol() if scope.method != "GET" else b""
        request = HttpRequest(scope.method, scope.path, headers, body, scope.query_string, refusal=refusal)
        response: HttpResponse = await self._app.answer(request)
        protocol.response_bytes(response.status, [*response.headers, ("x-request-id", request.request_id), NO_STORE], response.body)


def _start() -> GateApp:
    # As in the gate's own worker.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return GateApp()


asgi = Gate()
rsgi = RsgiGate()
