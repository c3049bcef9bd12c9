"""Send the deliveries in the outbox: claim due deliveries, send them, and record the results.

Up to `MAX_CONCURRENT` attempts run at once, and the next one starts when one of them ends, so a slow endpoint delays only its own messages.
If a process dies, its leases expire and other processes send the messages. Each message is sent at least once, always with the same ID.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from usage.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

from . import endpoint_health, http_client, secrets
from .http_client import DeliveryAttempt, DeliveryResult

log = structlog.get_logger(__name__)
State = WebhookDelivery.State

# Delays after each failed attempt: eight attempts within about eighteen hours, with 10 % jitter so that retries do not coincide.
RETRY_SCHEDULE = tuple(timedelta(seconds=each) for each in (5, 60, 300, 1_800, 7_200, 18_000, 36_000))
# Concurrent attempts: in total, per endpoint, and to all endpoints whose last attempt failed. Attempts to failing endpoints may each take
# the full timeout; the limit keeps the remaining slots free for working endpoints.
MAX_CONCURRENT = 100
MAX_PER_ENDPOINT = 5
MAX_CONCURRENT_FAILING = 40
# The lease of a delivery. It is longer than any attempt can take.
LEASE = timedelta(seconds=http_client.TIMEOUT_SECONDS * 2)
RETENTION = timedelta(days=30)
PURGE_BATCH = 1000
# How long one run claims deliveries, and how often it checks for new deliveries while attempts are running.
RUN_SECONDS = 20.0
POLL_SECONDS = 0.2


def deliver_due(*, seconds: float = RUN_SECONDS) -> int:
    """Send deliveries that are due now or become due within `seconds`. Return the number of attempts."""
    attempts = 0
    in_flight: dict[Future[DeliveryResult], WebhookDelivery] = {}
    until = time.monotonic() + seconds
    with _event_loop() as loop:
        while True:
            if time.monotonic() < until:
                for delivery in _claim(in_flight.values()):
                    attempts += 1
                    in_flight[asyncio.run_coroutine_threadsafe(_send(_build_attempt(delivery)), loop)] = delivery
            if not in_flight:
                return attempts
            for done in wait(in_flight, POLL_SECONDS, FIRST_COMPLETED).done:
                _record_result(in_flight.pop(done), done.result())


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a separate thread. It sends messages while the calling thread claims deliveries and records results."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="webhooks", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _claim(in_flight: Collection[WebhookDelivery] = ()) -> list[WebhookDelivery]:
    """Claim due deliveries, oldest first, up to the concurrency limits. `in_flight` are the running attempts."""
    busy = Counter(delivery.endpoint_id for delivery in in_flight)
    failing = sum(delivery.endpoint.failing_since is not None for delivery in in_flight)
    capacity = MAX_CONCURRENT - len(in_flight)
    if capacity <= 0:
        return []
    present = timezone.now()
    unclaimed = Q(claimed_until=None) | Q(claimed_until__lt=present)
    due = WebhookDelivery.objects.filter(unclaimed, state=State.PENDING, next_attempt_at__lte=present)
    delivery_ids = _next(due.filter(endpoint__failing_since=None), busy)[:capacity]
    if (remaining := min(capacity - len(delivery_ids), MAX_CONCURRENT_FAILING - failing)) > 0:
        delivery_ids += _next(due.filter(endpoint__failing_since__isnull=False), busy)[:remaining]
    if not delivery_ids:
        return []
    with transaction.atomic():
        # The conditions of `due` are checked again, because another process may have claimed a row since the query.
        rows = due.filter(pk__in=delivery_ids)
        claimed = list(rows.select_for_update(skip_locked=True, of=("self",)).select_related("endpoint__organization"))
        WebhookDelivery.objects.filter(pk__in=[delivery.pk for delivery in claimed]).update(claimed_until=present + LEASE)
    return claimed


def _next(due: QuerySet[WebhookDelivery], busy: Counter[UUID]) -> list[UUID]:
    """Return due deliveries, oldest first, at most `MAX_PER_ENDPOINT` per endpoint, so that a long queue does not block others."""
    position = Window(RowNumber(), partition_by="endpoint_id", order_by=["next_attempt_at", "id"])
    busy_endpoints = [endpoint_id for endpoint_id, number in busy.items() if number >= MAX_PER_ENDPOINT]
    candidates = (
        due.exclude(endpoint_id__in=busy_endpoints)
        .annotate(position=position)
        .filter(position__lte=MAX_PER_ENDPOINT)
        .order_by("next_attempt_at")
    )
    rows = candidates.values_list("pk", "endpoint_id", "position")[:MAX_CONCURRENT]
    return [pk for pk, endpoint_id, rank in rows if busy[endpoint_id] + rank <= MAX_PER_ENDPOINT]


async def _send(ready: DeliveryAttempt | DeliveryResult) -> DeliveryResult:
    return ready if isinstance(ready, DeliveryResult) else await http_client.send(ready)


def _build_attempt(delivery: WebhookDelivery) -> DeliveryAttempt | DeliveryResult:
    endpoint = delivery.endpoint
    if not endpoint.enabled or endpoint.organization.closed_at:
        return DeliveryResult(None, "endpoint_disabled")
    if not (endpoint.url.startswith("https://") or settings.WEBHOOKS_ALLOW_PRIVATE):
        return DeliveryResult(None, "address_refused")
    try:
        return DeliveryAttempt(endpoint.url, secrets.valid_secrets(endpoint), delivery.message_id, delivery.body.encode())
    except secrets.DecryptionFailed:
        return DeliveryResult(None, "secret_unreadable")


def _record_result(delivery: WebhookDelivery, result: DeliveryResult) -> None:
    present = timezone.now()
    rows = WebhookDelivery.objects.filter(pk=delivery.pk, state=State.PENDING)
    values = {"last_status": result.status, "last_error": result.error, "claimed_until": None, "attempts": F("attempts") + 1}
    attempts = delivery.attempts + 1
    given_up = False
    if result.succeeded:
        recorded = rows.update(**values, state=State.DELIVERED, finished_at=present)
    elif result.status == http_client.GONE or result.error in ("endpoint_disabled", "secret_unreadable") or attempts > len(RETRY_SCHEDULE):
        given_up = True
        recorded = rows.update(**values, state=State.FAILED, finished_at=present)
        ids = {"organization": str(delivery.endpoint.organization_id), "endpoint": str(delivery.endpoint_id), "delivery": str(delivery.pk)}
        log.warning("webhook.delivery_abandoned", **ids, status=result.status, error=result.error, attempts=attempts)
    else:
        recorded = rows.update(**values, next_attempt_at=_next_attempt_at(present, attempts))
    if recorded:
        _log_attempt(delivery, result, present)
    endpoint_health.record_result(delivery.endpoint, result, given_up=given_up)


def _log_attempt(delivery: WebhookDelivery, result: DeliveryResult, present: datetime) -> None:
    # The endpoint, and with it the delivery, may be deleted at the same time.
    with suppress(IntegrityError), transaction.atomic():
        WebhookAttempt.objects.create(
            delivery=delivery, at=present, status=result.status, error=result.error, milliseconds=result.milliseconds
        )


def _next_attempt_at(present: datetime, attempts: int) -> datetime:
    return present + RETRY_SCHEDULE[attempts - 1] * random.uniform(0.9, 1.1)  # noqa: S311 - jitter needs no cryptographic randomness


def purge() -> None:
    """Delete old deliveries, and previous secrets whose overlap has ended."""
    old = WebhookDelivery.objects.exclude(state=State.PENDING).filter(created_at__lt=timezone.now() - RETENTION)
    # Django loads the rows before it deletes them with their attempts.
    while batch := list(old.values_list("pk", flat=True)[:PURGE_BATCH]):
        WebhookDelivery.objects.filter(pk__in=batch).delete()
    expired = WebhookEndpoint.objects.filter(previous_secret_expires_at__lte=timezone.now())
    expired.update(previous_secret=None, previous_secret_expires_at=None)
