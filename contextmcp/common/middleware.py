"""Middleware that assigns request IDs, records the client address and measures requests."""

import os
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from ipaddress import ip_address

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import Histogram

from .incidents import INCIDENTS, SERVER_ERROR
from .logs import log_principal, request_id

_WITH_PORT = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5}")
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
REQUESTS = Histogram("http_request_seconds", "Requests by route and status", ["method", "route", "status"])

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)


def address_of(request: HttpRequest) -> str | None:
    """Return the client address that the outermost trusted proxy (TRUSTED_PROXIES) saw. Earlier entries may be forged."""
    # A Unix socket has no peer address.
    return forwarded_address(request.headers.get("X-Forwarded-For", ""), _parse_address(request.META.get("REMOTE_ADDR") or ""))


def forwarded_address(header: str, peer: str | None = None) -> str | None:
    """Return the client address in an `X-Forwarded-For` header as the outermost trusted proxy saw it, or else `peer`."""
    entries = header.split(",")
    if not 0 < settings.TRUSTED_PROXIES <= len(entries):
        return peer
    return _parse_address(entries[-settings.TRUSTED_PROXIES]) or peer


def _parse_address(entry: str) -> str | None:
    """Return the IP address in `entry`. Some proxies (Azure's) append the port: `192.0.2.1:443`, `[2001:db8::1]:443`."""
    match = _WITH_PORT.fullmatch(entry.strip())
    try:
        address = ip_address(match[1] or match[2] if match else entry.strip())
    except ValueError:
        return None
    # A dual-stack socket reports an IPv4 client as an IPv4-mapped IPv6 address.
    return str(getattr(address, "ipv4_mapped", None) or address)


def choose_request_id(header: str) -> str:
    """Return the caller's `X-Request-Id` if it is safe in logs and headers, otherwise a new ID."""
    return header if header and _SAFE.fullmatch(header) else _new_request_id()


_unused_ids: list[str] = []
# A forked process must not use the identifiers that its parent will use too.
os.register_at_fork(after_in_child=_unused_ids.clear)


def _new_request_id() -> str:
    """Return 32 random hexadecimal digits.

    One system call reads the random bytes of 128 identifiers, because a call for each identifier would take ten times as long.
    """
    try:
        return _unused_ids.pop()
    except IndexError:
        digits = os.urandom(16 * 128).hex()
        _unused_ids.extend(digits[start : start + 32] for start in range(32, len(digits), 32))
        return digits[:32]


class RequestIdMiddleware:
    """Sets the request ID and the client address for logs and audit events, and returns the ID in `X-Request-Id`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        identifier = choose_request_id(request.headers.get("X-Request-Id", ""))
        request_id.set(identifier)
        client_address.set(address_of(request))
        structlog.contextvars.clear_contextvars()
        log_principal.set(None)
        began = time.perf_counter()
        response = self.get_response(request)
        route = request.resolver_match.route if request.resolver_match else ""
        if response.status_code >= 500:
            INCIDENTS.record(SERVER_ERROR, route)
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(method, route, str(response.status_code)).observe(time.perf_counter() - began)
        response["X-Request-Id"] = identifier
        return response
