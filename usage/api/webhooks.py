"""Endpoints that manage webhook endpoints and their deliveries."""

import json
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample

from accounts.endpoint import PER_MEMBER, ApiListView, ApiView, endpoint, per_member_without
from accounts.types import Caller
from entitlements import examples
from usage.errors import WebhookDeliveryPending, WebhookDisabled, WebhookEndpointLimitReached, WebhookTestsPending
from usage.webhooks.manager import WebhookManager

from .webhook_schemas import (
    ChangeEndpointSchema,
    DeliverySchema,
    DeliveryWithBodySchema,
    EndpointSchema,
    EndpointWithSecretSchema,
    NewEndpointSchema,
    RotateSecretSchema,
)

_ID = "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa"
_ENDPOINT = {
    "id": _ID,
    "url": "https://acme.example/hooks/contextmcp",
    "description": "Pages the team",
    "eventTypes": ["usage.spike", "usage.threshold_reached"],
    "enabled": True,
    "disabledReason": "",
    "failingSince": None,
    "previousSecretExpiresAt": None,
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
_WITH_BODY = {
    **_DELIVERY,
    "body": json.dumps(
        {
            "type": "usage.threshold_reached",
            "timestamp": "2026-06-01T09:00:00Z",
            "data": {"feature": examples.QUOTA, "threshold": 80},
        },
        separators=(",", ":"),
    ),
    "attemptLog": [{"at": "2026-06-01T09:00:01Z", "status": 503, "error": "", "milliseconds": 214}],
}
_CHANGED = OpenApiExample("The endpoint", _ENDPOINT, response_only=True)
_SHOWN_ONCE = "whsec_k3D0l1Yw2sX9q7v…"
_TEST = {**_DELIVERY, "eventType": "endpoint.test", "attempts": 0, "lastStatus": None, "nextAttemptAt": "2026-06-01T09:00:00Z"}
_WITHOUT_SECRET = per_member_without("secret")
# Only an owner may manage webhook endpoints.
_read = partial(endpoint, tag="Webhooks", scope="organization:read", permission="organization:manage")
_write = partial(endpoint, tag="Webhooks", scope="organization:write", permission="organization:manage")


class Endpoints(ApiListView):
    """The organization's webhook endpoints."""

    @_read(
        "list_webhook_endpoints",
        response=EndpointSchema,
        many=True,
        examples=[OpenApiExample("An endpoint", _ENDPOINT, response_only=True)],
    )
    def get(self, actor: Caller) -> Any:
        """List the organization's webhook endpoints, newest first."""
        return WebhookManager(actor.organization).endpoints()

    @_write(
        "create_webhook_endpoint",
        body=NewEndpointSchema,
        response=EndpointWithSecretSchema,
        status=201,
        idempotency=_WITHOUT_SECRET,
        refusals=[WebhookEndpointLimitReached],
        examples=[
            OpenApiExample("For alerts", {"url": _ENDPOINT["url"], "eventTypes": _ENDPOINT["eventTypes"]}, request_only=True),
            OpenApiExample("A new endpoint", {**_ENDPOINT, "secret": _SHOWN_ONCE}, response_only=True),
        ],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Create a webhook endpoint.

        Messages are signed according to Standard Webhooks with the secret in the response, which is shown once. A message is retried
        for about eighteen hours until the URL answers with a 2xx status.
        """
        return WebhookManager(actor.organization).add(actor, data["url"], data.get("event_types"), data["description"])


class Endpoint(ApiView):
    """One webhook endpoint."""

    @_read("get_webhook_endpoint", response=EndpointSchema, examples=[_CHANGED])
    def get(self, actor: Caller, endpoint_id: UUID) -> Any:
        """Get a webhook endpoint."""
        return WebhookManager(actor.organization).endpoint(endpoint_id)

    @_write(
        "change_webhook_endpoint",
        body=ChangeEndpointSchema,
        response=EndpointSchema,
        examples=[OpenApiExample("Enable it again", {"enabled": True}, request_only=True), _CHANGED],
    )
    def patch(self, actor: Caller, data: dict[str, Any], endpoint_id: UUID) -> Any:
        """Change, disable or enable a webhook endpoint. Pending messages are sent to the new URL."""
        return WebhookManager(actor.organization).change(actor, endpoint_id, data)

    @_write("delete_webhook_endpoint")
    def delete(self, actor: Caller, endpoint_id: UUID) -> None:
        """Delete a webhook endpoint and its deliveries. Pending messages are not sent."""
        WebhookManager(actor.organization).remove(actor, endpoint_id)


class RotateSecret(ApiView):
    """Replace the signing secret of a webhook endpoint."""

    @_write(
        "rotate_webhook_secret",
        body=RotateSecretSchema,
        response=EndpointWithSecretSchema,
        idempotency=_WITHOUT_SECRET,
        examples=[
            OpenApiExample("Within an hour", {"overlapSeconds": 3600}, request_only=True),
            OpenApiExample(
                "A new secret",
                {**_ENDPOINT, "previousSecretExpiresAt": "2026-06-02T09:00:00Z", "secret": _SHOWN_ONCE},
                response_only=True,
            ),
        ],
    )
    def post(self, actor: Caller, data: dict[str, Any], endpoint_id: UUID) -> Any:
        """Replace the signing secret. The new secret is shown once.

        For `overlapSeconds`, messages carry two signatures so that the receiver can change its secret in the meantime.
        """
        return WebhookManager(actor.organization).rotate_secret(actor, endpoint_id, timedelta(seconds=data["overlap_seconds"]))


class TestEndpoint(ApiView):
    """Send a test message to a webhook endpoint."""

    @_write(
        "test_webhook_endpoint",
        response=DeliverySchema,
        status=202,
        idempotency=PER_MEMBER,
        refusals=[WebhookDisabled, WebhookTestsPending],
        examples=[OpenApiExample("Queued", _TEST, response_only=True, status_codes=["202"])],
    )
    def post(self, actor: Caller, endpoint_id: UUID) -> Any:
        """Send a test message of the type `endpoint.test`."""
        return WebhookManager(actor.organization).test(actor, endpoint_id)


class Deliveries(ApiListView):
    """The messages to a webhook endpoint."""

    @_read(
        "list_webhook_deliveries",
        response=DeliverySchema,
        many=True,
        examples=[OpenApiExample("A delivery that is retried", _DELIVERY, response_only=True)],
    )
    def get(self, actor: Caller, endpoint_id: UUID) -> Any:
        """List the deliveries to an endpoint of the last 30 days, including pending ones, newest first."""
        return WebhookManager(actor.organization).deliveries(endpoint_id)


class Delivery(ApiView):
    """One message to a webhook endpoint."""

    @_read("get_webhook_delivery", response=DeliveryWithBodySchema, examples=[OpenApiExample("A delivery", _WITH_BODY, response_only=True)])
    def get(self, actor: Caller, endpoint_id: UUID, delivery_id: UUID) -> Any:
        """Get a delivery with the body of its message and its attempts."""
        return WebhookManager(actor.organization).delivery(endpoint_id, delivery_id)


class Redeliver(ApiView):
    """Send a message again."""

    @_write(
        "redeliver_webhook",
        response=DeliverySchema,
        status=202,
        idempotency=PER_MEMBER,
        refusals=[WebhookDisabled, WebhookDeliveryPending],
        examples=[OpenApiExample("Queued", {**_DELIVERY, "attempts": 0}, response_only=True, status_codes=["202"])],
    )
    def post(self, actor: Caller, endpoint_id: UUID, delivery_id: UUID) -> Any:
        """Resend a message that was delivered or failed, under the same `webhook-id`."""
        return WebhookManager(actor.organization).redeliver(actor, endpoint_id, delivery_id)
