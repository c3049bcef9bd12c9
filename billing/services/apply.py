"""Working off the inbox, one subject at a time."""

from __future__ import annotations

import structlog
from django.db import transaction
from django.db.models import F, QuerySet

from billing.gateway import invoices
from billing.mirror import store
from billing.models import BillingAccount, WebhookEvent
from contextmcp.common.clock import now

from . import queue
from .locks import lock_customer
from .sync import sync_customer

log = structlog.get_logger(__name__)
ERROR_LENGTH = 2000


def apply_events(subject: str) -> None:
    """Everything that waits for `subject`: a customer is synced once for all of it, whatever the events say."""
    about = WebhookEvent.objects.waiting().filter(subject=subject)
    first = about.values_list("payload__data__object__object", "payload__data__object__id").first()
    if first is None:
        return
    kind, identifier = first
    # An event waits under its customer's id, or under its own object's where the object does not name a customer.
    if kind == "customer" or identifier != subject:
        sync_customer(subject, only_if_waiting=True)
        return
    with transaction.atomic():
        lock_customer(subject)
        waiting = list(WebhookEvent.objects.waiting().filter(subject=subject))
        if waiting:
            ours = WebhookEvent.objects.filter(pk__in=[each.pk for each in waiting])
            _apply_object(subject, waiting[-1].payload["data"]["object"], ours)


def _apply_object(subject: str, thing: dict[str, object], events: QuerySet[WebhookEvent]) -> None:
    kind = str(thing["object"])
    state = WebhookEvent.State.PROCESSED
    if kind in store.CATALOG_KINDS:
        store.fetch(kind, subject)
    elif (customer := _owner(kind, thing)) and _known(customer, events):
        state = WebhookEvent.State.PROCESSED
    elif customer:
        # From here on they wait with the customer's other events, and cost no fetch of their own.
        events.update(subject=customer)
        queue.apply_later(customer)
        return
    else:
        state = WebhookEvent.State.IGNORED
    events.update(state=state, processed_at=now(), error="")


def _known(customer: str, events: QuerySet[WebhookEvent]) -> bool:
    """Whether the customer was fetched since the last of these came in: then what they told is here."""
    last = max(event.received_at for event in events)
    return BillingAccount.objects.filter(stripe_customer_id=customer, synced_at__gt=last).exists()


def _owner(kind: str, thing: dict[str, object]) -> str:
    """Whose refund, dispute, payment or test clock it is. A clock may have several customers: the others are synced apart."""
    if kind == "test_helpers.test_clock":
        clocked = BillingAccount.objects.filter(organization__test_clock_id=thing["id"], stripe_customer_id__isnull=False)
        customer, *others = [*clocked.values_list("stripe_customer_id", flat=True), ""]
        for other in filter(None, others):
            queue.sync_later(other)
        return str(customer)
    if kind == "invoice_payment":
        found = invoices.invoice(str(thing["invoice"]))
    else:
        charge = thing.get("charge")
        found = invoices.charge(str(charge)) if charge else None
    return str((found or {}).get("customer") or "")


def note_failure(subject: str, error: BaseException, *, final: bool) -> None:
    """Say on the waiting events why they still wait; after the last try they are dead letters, for staff to see and replay."""
    state = WebhookEvent.State.DEAD if final else WebhookEvent.State.PENDING
    text = f"{type(error).__name__}: {error}"[:ERROR_LENGTH].replace("\0", "")
    WebhookEvent.objects.waiting().filter(subject=subject).update(attempts=F("attempts") + 1, error=text, state=state)
    log.warning("billing.event_failed", subject=subject, error=type(error).__name__, final=final)


def replay(events: list[WebhookEvent]) -> int:
    """Put dead (or any) events back into the queue. Returns how many subjects that queues."""
    with transaction.atomic():
        ids = [event.pk for event in events if event.subject]
        WebhookEvent.objects.filter(pk__in=ids).update(state=WebhookEvent.State.PENDING, attempts=0, error="")
        subjects = sorted({event.subject for event in events if event.subject})
        for subject in subjects:
            queue.apply_later(subject)
    return len(subjects)
