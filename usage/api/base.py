"""What usage's views share: bodies read as bytes, answers sent as bytes, the limit headers on both answers and refusals."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import ApiKeyAuthentication, MemberSessionAuthentication, ServiceKeyAuthentication, caller
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError, UnsupportedMediaType
from usage import encoding, requests
from usage.ingest import JSON
from usage.tracker import UsageTracker

T = TypeVar("T")


class UsageView(APIView):
    """Views of the gate's paths answer exactly as the gate's own server does, so they go around DRF's parsing and rendering."""

    authentication_classes = (ServiceKeyAuthentication, ApiKeyAuthentication, MemberSessionAuthentication)

    def admit(self, request: Request, scope: str) -> UsageTracker:
        """The tracker of the caller's organization, if the caller has the scope."""
        found: Caller = caller(request)
        found.require(scope=scope)
        return UsageTracker.of(found)

    def admit_service(self, request: Request) -> UsageTracker:
        """The tracker of the customer that a service key acts for. Raises `ServiceKeyRequired` for customers' keys and sessions."""
        caller(request).require_service()
        return self.admit(request, "usage:write")

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if isinstance(exc, DomainError):
            for name, value in encoding.refusal_headers(exc, now()).items():
                response[name] = value
        return response


def raw(request: Request, *types: str) -> bytes:
    """The body, if it is of a type taken here."""
    kind = request.headers.get("Content-Type", JSON).partition(";")[0].strip().lower()
    if kind not in (types or (JSON,)):
        raise UnsupportedMediaType(f"Send {' or '.join(types or (JSON,))}.")
    # A service key names its customer in the body; these fields are taken out already.
    body: bytes = getattr(request._request, "named_body", None) or request._request.body
    return body


def key_of(request: Request) -> str | None:
    return requests.idempotency_key(request.headers.get("Idempotency-Key"))


def answer(value: Any, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """`value` as JSON; bytes are JSON already."""
    body = value if isinstance(value, bytes) else encoding.to_json(value)
    return HttpResponse(body, content_type=JSON, headers=dict(headers or {}))


def refuse_parameters(request: Request, *known: str) -> None:
    if caller(request).service is not None:
        known = (*known, "organizationId")
    requests.refuse_parameters(name for name in request.query_params if name not in known)
