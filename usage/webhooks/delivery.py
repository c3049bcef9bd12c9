"""Working off the outbox: claim what is due, send it all at once, note what came of it.

Whatever dies in the middle leaves a claim that runs out: every message is sent at least once, under one id.
"""

import asyncio
import random
from collections.abc import Iterable
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from usage.models import WebhookDelivery, WebhookEndpoint

from . import secrets, sending
from .sending import Parcel, Result

log = structlog.get_logger(__name__)
State = WebhookDelivery.State

# After each failed attempt. Eight attempts within eighteen hours, each a tenth earlier or later so that they do not come in herds.
WAITS = tuple(timedelta(seconds=each) for each in (5, 60, 300, 1_800, 7_200, 18_000, 36_000))
BATCH = 100
# One endpoint that hangs holds up a few messages of its own, not everybody's.
PER_ENDPOINT = 5
# Longer than any attempt lasts.
CLAIM = timedelta(seconds=sending.SECONDS * 2)
KEEP = timedelta(days=30)


def deliver_due(*, rounds: int = 50) -> int:
    """Send what is due, batch by batch. Returns how many attempts were made."""
    attempts = 0
    for _ in range(rounds):
        claimed = _claim()
        if not claimed:
            break
        attempts += len(claimed)
        for delivery, result in zip(claimed, _send_all(claimed), strict=True):
            _note(delivery, result)
    return attempts


def _claim() -> list[WebhookDelivery]:
    present = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=present)
    due = WebhookDelivery.objects.filter(free, state=State.PENDING, next_attempt_at__lte=present)
    # However much waits for one endpoint, the others have their turn.
    turn = Window(RowNumber(), partition_by="endpoint_id", order_by=["next_attempt_at", "id"])
    next_ones = due.annotate(turn=turn).filter(turn__lte=PER_ENDPOINT).order_by("next_attempt_at").values_list("pk", flat=True)[:BATCH]
    with transaction.atomic():
        # Again whether it is due: somebody may have claimed it since.
        rows = due.filter(pk__in=list(next_ones))
        chosen = list(rows.select_for_update(skip_locked=True, of=("self",)).select_related("endpoint__organization"))
        WebhookDelivery.objects.filter(pk__in=[one.pk for one in chosen]).update(claimed_until=present + CLAIM)
    return chosen


def _send_all(claimed: Iterable[WebhookDelivery]) -> list[Result]:
    ready = [_parcel(delivery) for delivery in claimed]

    async def all_of_them() -> list[Result]:
        return await asyncio.gather(*(_result(one) for one in ready))

    return asyncio.run(all_of_them())


async def _result(ready: Parcel | Result) -> Result:
    return ready if isinstance(ready, Result) else await sending.send(ready)


def _parcel(delivery: WebhookDelivery) -> Parcel | Result:
    endpoint = delivery.endpoint
    if not endpoint.enabled or endpoint.organization.closed_at:
        return Result(None, "endpoint_disabled")
    if not (endpoint.url.startswith("https://") or settings.WEBHOOKS_ALLOW_PRIVATE):
        return Result(None, "address_refused")
    try:
        secret = secrets.unseal(bytes(endpoint.secret))
    except secrets.Unreadable:
        return Result(None, "secret_unreadable")
    return Parcel(endpoint.url, secret, delivery.message_id, delivery.body.encode())


def _note(delivery: WebhookDelivery, result: Result) -> None:
    present = timezone.now()
    mine = WebhookDelivery.objects.filter(pk=delivery.pk, state=State.PENDING)
    noted = {"last_status": result.status, "last_error": result.error, "claimed_until": None, "attempts": F("attempts") + 1}
    tries = delivery.attempts + 1
    if result.taken:
        mine.update(**noted, state=State.DELIVERED, finished_at=present)
    elif result.status == sending.GONE or result.error in ("endpoint_disabled", "secret_unreadable") or tries > len(WAITS):
        mine.update(**noted, state=State.FAILED, finished_at=present)
        log.warning("webhook.given_up", delivery=str(delivery.pk), status=result.status, error=result.error, attempts=tries)
    else:
        wait = WAITS[tries - 1] * random.uniform(0.9, 1.1)  # noqa: S311 - nobody's secret
        mine.update(**noted, next_attempt_at=present + wait)
    if result.status == sending.GONE:
        WebhookEndpoint.objects.filter(pk=delivery.endpoint_id).update(enabled=False, disabled_reason="It answered 410 Gone.")


def purge() -> None:
    """Forget what was told long ago."""
    WebhookDelivery.objects.exclude(state=State.PENDING).filter(created_at__lt=timezone.now() - KEEP).delete()


def renew_secrets() -> int:
    """Store under the server's newest secret what is still stored under an older one. Returns how many."""
    count = 0
    for endpoint in WebhookEndpoint.objects.only("secret").iterator():
        stored = bytes(endpoint.secret)
        fresh = secrets.renewed(stored)
        if fresh is not None:
            count += WebhookEndpoint.objects.filter(pk=endpoint.pk, secret=stored).update(secret=fresh)
    return count
