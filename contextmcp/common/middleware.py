"""A request id on every request, response and log line."""

import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from ipaddress import ip_address

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import Histogram

from .ids import uuid7

_WITH_PORT = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5}")
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
REQUESTS = Histogram("http_request_seconds", "Requests by route and status", ["method", "route", "status"])

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")
request_id: ContextVar[str] = ContextVar("request_id", default="")
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)


def address_of(request: HttpRequest) -> str | None:
    """Return who sent it, as the outermost of our proxies (TRUSTED_PROXIES) saw it: anybody may have written what stands before."""
    peer: str | None = request.META.get("REMOTE_ADDR") or None
    entries = request.headers.get("X-Forwarded-For", "").split(",")
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
    # An IPv4 client of a socket for both families is the same client.
    return str(getattr(address, "ipv4_mapped", None) or address)


class RequestIdMiddleware:
    """Takes the caller's `X-Request-Id` when it is harmless, makes one otherwise, and gives it back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        identifier = given if _SAFE.fullmatch(given) else uuid7().hex
        request_id.set(identifier)
        client_address.set(address_of(request))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identifier)
        began = time.perf_counter()
        response = self.get_response(request)
        route = request.resolver_match.route if request.resolver_match else ""
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(method, route, str(response.status_code)).observe(time.perf_counter() - began)
        response["X-Request-Id"] = identifier
        return response
