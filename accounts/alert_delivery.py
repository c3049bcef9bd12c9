"""Send the queued requests to the operator's webhooks, and retry them."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpcore
import structlog
from django.conf import settings
from standardwebhooks import Webhook

from contextmcp.common.checked_connection import post
from contextmcp.common.clock import now
from contextmcp.common.url_policy import AddressBlocked

from . import alert_messages
from .models import AlertDelivery

log = structlog.get_logger(__name__)
State = AlertDelivery.State
# Delays after each failed attempt: eight attempts within about six hours. Alerts are of little use later.
RETRY_SCHEDULE = tuple(timedelta(seconds=each) for each in (10, 60, 300, 900, 1_800, 3_600, 14_400))
TIMEOUT_SECONDS = 10.0
BATCH = 50
RETENTION = timedelta(days=30)
USER_AGENT = "ContextMCP-Alerts/1.0"


@dataclass(frozen=True)
class Attempt:
    """The result of one request: its status, or an error."""

    status: int | None
    error: str = ""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def __str__(self) -> str:
        return self.error or f"HTTP status {self.status}"


def deliver_due() -> int:
    """Send the requests that are due. Return the number of attempts."""
    attempts = 0
    due = AlertDelivery.objects.filter(state=State.PENDING, next_attempt_at__lte=now())
    for delivery in due.order_by("next_attempt_at")[:BATCH]:
        # The attempt is counted before the request, so that a worker that dies delays the message but does not lose it.
        delay = RETRY_SCHEDULE[min(delivery.attempts, len(RETRY_SCHEDULE) - 1)]
        claim = AlertDelivery.objects.filter(pk=delivery.pk, state=State.PENDING, attempts=delivery.attempts)
        if claim.update(attempts=delivery.attempts + 1, next_attempt_at=now() + delay):
            delivery.attempts += 1
            attempts += 1
            record_result(delivery, attempt(delivery.channel, str(delivery.pk), delivery.body))
    return attempts


def attempt(channel: str, message_id: str, body: str) -> Attempt:
    """Send one request to the webhook of a channel. Blocks for at most TIMEOUT_SECONDS. Network errors are results."""
    url = alert_messages.webhook_urls().get(channel)
    if not url:
        return Attempt(None, "The channel is not configured.")
    if not (url.startswith("https://") or settings.WEBHOOKS_ALLOW_PRIVATE):
        return Attempt(None, "The URL must begin with https://.")
    headers = {"User-Agent": USER_AGENT, "Content-Type": "application/json"}
    if channel == AlertDelivery.Channel.WEBHOOK and settings.ALERT_WEBHOOK_SECRET:
        headers |= _signature(message_id, body)
    try:
        return Attempt(post(url, headers, body.encode(), seconds=TIMEOUT_SECONDS))
    except AddressBlocked:
        return Attempt(None, "The host resolves to an address that is not public.")
    except httpcore.TimeoutException:
        return Attempt(None, "The server did not respond in time.")
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
        # The text of the error may contain the URL, which is a secret.
        return Attempt(None, f"The server cannot be reached ({type(error).__name__}).")


def record_result(delivery: AlertDelivery, result: Attempt) -> None:
    """Store the result of an attempt. `delivery.attempts` already includes the attempt."""
    values: dict[str, Any] = {"last_status": result.status, "last_error": "" if result.succeeded else str(result)[:100]}
    if result.succeeded:
        values |= {"state": State.DELIVERED, "finished_at": now()}
    elif delivery.attempts > len(RETRY_SCHEDULE):
        values |= {"state": State.FAILED, "finished_at": now()}
        log.error("operator_alert.delivery_abandoned", delivery=str(delivery.pk), channel=delivery.channel, error=str(result))
    AlertDelivery.objects.filter(pk=delivery.pk).update(**values)


def purge() -> None:
    """Delete finished deliveries that were created more than RETENTION ago."""
    AlertDelivery.objects.filter(created_at__lt=now() - RETENTION).exclude(state=State.PENDING).delete()


def _signature(message_id: str, body: str) -> dict[str, str]:
    """Return the headers of Standard Webhooks (standardwebhooks.com)."""
    timestamp = int(time.time())
    signature = Webhook(settings.ALERT_WEBHOOK_SECRET).sign(message_id, datetime.fromtimestamp(timestamp, UTC), body)
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
