"""What is to be told, written in the transaction that made it true; the worker sends it after the commit."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from accounts.models import Organization
from contextmcp.common.api import camelize
from usage.models import WebhookDelivery, WebhookEndpoint

THRESHOLD = "usage.threshold_reached"
SPIKE = "usage.spike"
SUBSCRIPTION = "subscription.changed"
TEST = "endpoint.test"
# What an endpoint can ask for; a test goes to the one it was asked for.
EVENT_TYPES = (THRESHOLD, SPIKE, SUBSCRIPTION)
TASK = "usage.deliver_webhooks"
QUEUE = "webhooks"


def announce(organization: Organization, event_type: str, data: Mapping[str, Any]) -> int:
    """Queue a message for every endpoint of the organization that asked for such. `data` in snake_case. Returns how many."""
    endpoints = WebhookEndpoint.objects.filter(organization=organization, enabled=True, event_types__contains=[event_type])
    body = _body(event_type, data)
    made = WebhookDelivery.objects.bulk_create(WebhookDelivery(endpoint=one, event_type=event_type, body=body) for one in endpoints)
    if made:
        kick()
    return len(made)


def queue(endpoint: WebhookEndpoint, event_type: str, data: Mapping[str, Any]) -> WebhookDelivery:
    """One message for one endpoint."""
    made = WebhookDelivery.objects.create(endpoint=endpoint, event_type=event_type, body=_body(event_type, data))
    kick()
    return made


def kick() -> None:
    """Have the worker look at once instead of within seconds. Should this be lost, its next look finds the rows all the same."""
    transaction.on_commit(_look_now, robust=True)


def _look_now() -> None:
    with suppress(AlreadyEnqueued):
        app.configure_task(TASK, queue=QUEUE, lock=TASK, queueing_lock=f"{TASK}.now").defer(timestamp=0)


def _body(event_type: str, data: Mapping[str, Any]) -> str:
    said = {"type": event_type, "timestamp": _told(datetime.now(UTC)), "data": camelize(dict(data))}
    return json.dumps(said, default=_told, ensure_ascii=False, separators=(",", ":"))


def _told(value: Any) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
