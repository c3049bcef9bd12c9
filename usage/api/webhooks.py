"""Where the organization wants to be told of things."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.types import Caller
from contextmcp.common.api import Page
from contextmcp.common.idempotency import once
from usage.webhooks.manager import WebhookManager

from .webhook_schemas import DeliverySchema, EndpointSchema, EndpointWithSecretSchema, NewEndpointSchema

PERMISSION = "organization:manage"
_ID = "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa"
_ENDPOINT = {
    "id": _ID,
    "url": "https://acme.example/hooks/contextmcp",
    "description": "Pages the team",
    "eventTypes": ["usage.spike", "usage.threshold_reached"],
    "enabled": True,
    "disabledReason": "",
    "createdAt": "2026-06-01T09:00:00Z",
}
_DELIVERY = {
    "id": _ID,
    "messageId": "msg_0197f3c26f0a7d3e9c542a1b7e60d9aa",
    "eventType": "usage.threshold_reached",
    "state": "pending",
    "attempts": 1,
    "nextAttemptAt": "2026-06-01T09:00:06Z",
    "lastStatus": 503,
    "lastError": "",
    "createdAt": "2026-06-01T09:00:00Z",
    "finishedAt": None,
}
_TEST = {**_DELIVERY, "eventType": "endpoint.test", "attempts": 0, "lastStatus": None, "nextAttemptAt": "2026-06-01T09:00:00Z"}


class WebhookView(GenericAPIView[Any]):
    """Only an owner says where the organization's news go."""

    def admit(self, request: Request, scope: str) -> tuple[Caller, WebhookManager]:
        actor = caller(request)
        actor.require(scope=scope, permission=PERMISSION)
        return actor, WebhookManager(actor.organization)


class Endpoints(WebhookView):
    idempotent = True
    serializer_class = NewEndpointSchema
    pagination_class = Page

    @extend_schema(
        operation_id="list_webhook_endpoints",
        tags=["Webhooks"],
        responses=EndpointSchema(many=True),
        examples=[OpenApiExample("An endpoint", _ENDPOINT, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        """The organization's webhook endpoints, newest first."""
        _, manager = self.admit(request, "organization:read")
        page = self.paginate_queryset(manager.endpoints())
        return self.get_paginated_response(EndpointSchema(page, many=True).data)

    @extend_schema(
        operation_id="create_webhook_endpoint",
        tags=["Webhooks"],
        request=NewEndpointSchema,
        responses={201: EndpointWithSecretSchema},
        examples=[
            OpenApiExample("For alerts", {"url": _ENDPOINT["url"], "eventTypes": _ENDPOINT["eventTypes"]}, request_only=True),
            OpenApiExample("A new endpoint", {**_ENDPOINT, "secret": "whsec_k3D0l1Yw2sX9q7v…"}, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """Be told of what happens. Messages are signed by the Standard Webhooks scheme with the secret that is shown this once, and
        retried for some eighteen hours until the address answers 2xx."""
        actor, manager = self.admit(request, "organization:write")
        body = NewEndpointSchema(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data

        def act() -> Response:
            made = manager.add(actor, wanted["url"], wanted.get("event_types"), wanted["description"])
            return Response(EndpointWithSecretSchema(made).data, status=201)

        return once(request, actor.membership_id, act, keep=lambda data: {**data, "secret": None})


class Endpoint(WebhookView):
    serializer_class = EndpointSchema

    @extend_schema(operation_id="delete_webhook_endpoint", tags=["Webhooks"], responses={204: None})
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        """Nothing more is sent there, and its deliveries are forgotten."""
        actor, manager = self.admit(request, "organization:write")
        manager.remove(actor, endpoint_id)
        return Response(status=204)


class TestEndpoint(WebhookView):
    idempotent = True
    serializer_class = DeliverySchema

    @extend_schema(
        operation_id="test_webhook_endpoint",
        tags=["Webhooks"],
        request=None,
        responses={202: DeliverySchema},
        examples=[OpenApiExample("Queued", _TEST, response_only=True, status_codes=["202"])],
    )
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Send a message of the type endpoint.test, at once."""
        actor, manager = self.admit(request, "organization:write")

        def act() -> Response:
            return Response(DeliverySchema(manager.test(actor, endpoint_id)).data, status=202)

        return once(request, actor.membership_id, act)


class Deliveries(WebhookView):
    serializer_class = DeliverySchema
    pagination_class = Page

    @extend_schema(
        operation_id="list_webhook_deliveries",
        tags=["Webhooks"],
        responses=DeliverySchema(many=True),
        examples=[OpenApiExample("One that is retried", _DELIVERY, response_only=True)],
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """What was sent to an endpoint within the last 30 days, and what waits, newest first."""
        _, manager = self.admit(request, "organization:read")
        page = self.paginate_queryset(manager.deliveries(endpoint_id))
        return self.get_paginated_response(DeliverySchema(page, many=True).data)
