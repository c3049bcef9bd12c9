"""Queue webhook messages in the transaction of the change. The worker sends them after the commit."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from accounts.models import Organization
from contextmcp.common.api import camelize, json_default
from usage.models import WebhookDelivery, WebhookEndpoint

THRESHOLD = "usage.threshold_reached"
SPIKE = "usage.spike"
SUBSCRIPTION = "subscription.changed"
TEST = "endpoint.test"
# Event types that an endpoint can subscribe to. Test messages are sent to one endpoint on request.
EVENT_TYPES = (THRESHOLD, SPIKE, SUBSCRIPTION)
TASK = "usage.deliver_webhooks"
QUEUE = "webhooks"


def enqueue_for_subscribers(organization: Organization, event_type: str, data: Mapping[str, Any]) -> int:
    """Queue a message for every enabled endpoint that subscribes to the event type. Return the number of messages.

    `data` has snake_case keys, which are converted to camelCase.
    """
    endpoints = WebhookEndpoint.objects.filter(organization=organization, enabled=True, event_types__contains=[event_type])
    body = _body(event_type, data)
    deliveries = WebhookDelivery.objects.bulk_create(
        WebhookDelivery(endpoint=endpoint, event_type=event_type, body=body) for endpoint in endpoints
    )
    if deliveries:
        schedule_dispatch()
    return len(deliveries)


def enqueue(endpoint: WebhookEndpoint, event_type: str, data: Mapping[str, Any]) -> WebhookDelivery:
    """Queue a message for one endpoint."""
    delivery = WebhookDelivery.objects.create(endpoint=endpoint, event_type=event_type, body=_body(event_type, data))
    schedule_dispatch()
    return delivery


def schedule_dispatch() -> None:
    """Start the delivery task right after the commit. If this fails, the periodic task finds the rows within seconds."""
    transaction.on_commit(_dispatch_now, robust=True)


def _dispatch_now() -> None:
    with suppress(AlreadyEnqueued):
        app.configure_task(TASK, queue=QUEUE, lock=TASK, queueing_lock=f"{TASK}.now").defer(timestamp=0)


def _body(event_type: str, data: Mapping[str, Any]) -> str:
    message = {"type": event_type, "timestamp": datetime.now(UTC), "data": camelize(dict(data))}
    return json.dumps(message, default=json_default, ensure_ascii=False, separators=(",", ":"))
