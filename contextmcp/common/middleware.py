"""A request id on every request, response and log line."""

import re
from collections.abc import Callable
from contextvars import ContextVar
from ipaddress import ip_address

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from .ids import uuid7

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")
request_id: ContextVar[str] = ContextVar("request_id", default="")
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)


def address_of(request: HttpRequest) -> str | None:
    """Who sent it, as the outermost of our own proxies (TRUSTED_PROXIES) saw it: what stands before that anybody may have written."""
    peer: str | None = request.META.get("REMOTE_ADDR") or None
    told = request.headers.get("X-Forwarded-For", "").split(",")
    if not 0 < settings.TRUSTED_PROXIES <= len(told):
        return peer
    try:
        return str(ip_address(told[-settings.TRUSTED_PROXIES].strip()))
    except ValueError:
        return peer


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
        response = self.get_response(request)
        response["X-Request-Id"] = identifier
        return response
