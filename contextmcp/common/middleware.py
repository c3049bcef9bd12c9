"""A request id on every request, response and log line."""

import re
from collections.abc import Callable
from contextvars import ContextVar

import structlog
from django.http import HttpRequest, HttpResponse

from .ids import uuid7

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")
request_id: ContextVar[str] = ContextVar("request_id", default="")
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)


class RequestIdMiddleware:
    """Takes the caller's `X-Request-Id` when it is harmless, makes one otherwise, and gives it back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        identifier = given if _SAFE.fullmatch(given) else uuid7().hex
        request_id.set(identifier)
        client_address.set(request.META.get("REMOTE_ADDR") or None)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identifier)
        response = self.get_response(request)
        response["X-Request-Id"] = identifier
        return response
