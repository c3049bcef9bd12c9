"""The base of the usage views. Django authenticates the request; the route table and its handlers do everything else."""

from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import ApiKeyAuthentication, MemberSessionAuthentication, ServiceKeyAuthentication, caller
from accounts.errors import ServiceKeyRequired
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError
from contextmcp.common.logs import request_id
from contextmcp.common.middleware import client_address
from usage.authorize.requests import JSON
from usage.operations.caller import UsageCaller
from usage.operations.sync_driver import drive
from usage.refusals.recording import record

from .handlers import UsageRequest
from .responses import refusal_headers
from .routes import Route


class UsageView(APIView):
    """Base of views that bypass DRF's parsers and renderers, so that their responses equal those of the gate.

    A view names its `route` and defines the method of the route with its OpenAPI description.
    """

    authentication_classes = (ServiceKeyAuthentication, ApiKeyAuthentication, MemberSessionAuthentication)
    route: ClassVar[Route]
    # Errors that the OpenAPI document lists for the operation, in addition to the errors of all operations and of the route.
    refusals: tuple[type[DomainError], ...] = ()
    idempotent = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Derive `idempotent` from the route, and add `ServiceKeyRequired` to `refusals` if the route requires a service key."""
        super().__init_subclass__(**options)
        cls.idempotent = cls.route.idempotent
        if cls.route.service_only:
            cls.refusals = (ServiceKeyRequired, *cls.refusals)

    def respond(self, request: Request, parameter: Any = None) -> HttpResponse:
        """Handle the request with the handler of the route. `parameter` is the variable part of the path."""
        actor, usage_request = caller(request), self.usage_request(request, parameter)
        try:
            reply = drive(self.route.start(actor, usage_request))
        except DomainError as refusal:
            record(usage_request.caller.subject, refusal)
            raise
        return HttpResponse(reply.body, content_type=JSON, headers=dict(reply.headers or ()))

    def usage_request(self, request: Request, parameter: Any = None) -> UsageRequest:
        """Return the request that the handler parses."""
        inner = request._request
        # The body of a request with a service key may name the customer. `named_body` is the body without these fields.
        body: bytes = getattr(inner, "named_body", None) or inner.body
        actor = UsageCaller.of_caller(caller(request), request_id.get(), client_address.get())
        return UsageRequest(actor, request.headers, body, inner.META.get("QUERY_STRING", ""), parameter)

    def handle_exception(self, exc: Exception) -> Response:
        """Add the headers that the gate sends with an error, such as those of rate limits."""
        response = super().handle_exception(exc)
        if isinstance(exc, DomainError):
            for name, value in refusal_headers(exc, now()).items():
                response[name] = value
        return response
