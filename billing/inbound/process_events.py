"""Processes the pending events of the inbox, one subject at a time."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from django.db import transaction
from django.db.models import F, QuerySet

from accounts.audit import record
from accounts.models import Organization, User
from billing import enqueue
from billing.customer_locks import lock_customer
from billing.errors import EventNotDead
from billing.models import BillingAccount, WebhookEvent
from billing.stripe.gateway import invoices
from billing.stripe.mirror import store
from billing.sync.customer import sync_customer
from contextmcp.common.clock import now

log = structlog.get_logger(__name__)
ERROR_LENGTH = 2000


def process_events(subject: str) -> None:
    """Process all pending events of `subject`. A customer is synced once for all of its events, whatever they contain."""
    pending = WebhookEvent.objects.pending().filter(subject=subject)
    first = pending.values_list("payload__data__object__object", "payload__data__object__id").first()
    if first is None:
        return
    kind, identifier = first
    # The subject is the customer's id, or the object's own id if the object does not name a customer.
    if kind == "customer" or identifier != subject:
        sync_customer(subject, only_if_pending=True)
        return
    with transaction.atomic():
        lock_customer(subject)
        events = list(WebhookEvent.objects.pending().filter(subject=subject))
        if events:
            rows = WebhookEvent.objects.filter(pk__in=[each.pk for each in events])
            _process_object(subject, events[-1].payload["data"]["object"], rows)


def _process_object(subject: str, document: dict[str, object], events: QuerySet[WebhookEvent]) -> None:
    kind = str(document["object"])
    state = WebhookEvent.State.PROCESSED
    if kind in store.CATALOG_KINDS:
        store.fetch(kind, subject)
    elif (customer := _customer_of(kind, document)) and _already_synced(customer, events):
        state = WebhookEvent.State.PROCESSED
    elif customer:
        # The events join the customer's queue, so that one fetch serves all of its events.
        events.update(subject=customer)
        enqueue.process_events(customer)
        return
    else:
        state = WebhookEvent.State.IGNORED
    events.update(state=state, processed_at=now(), error="")


def _already_synced(customer: str, events: QuerySet[WebhookEvent]) -> bool:
    """Return whether the customer was synced after the last of these events was received."""
    last = max(event.received_at for event in events)
    return BillingAccount.objects.filter(stripe_customer_id=customer, synced_at__gt=last).exists()


def _customer_of(kind: str, document: dict[str, object]) -> str:
    """Return the customer of a refund, dispute, payment or test clock. Further customers of a test clock are queued separately."""
    if kind == "test_helpers.test_clock":
        accounts = BillingAccount.objects.filter(organization__test_clock_id=document["id"], stripe_customer_id__isnull=False)
        customer, *others = [*accounts.values_list("stripe_customer_id", flat=True), ""]
        for other in filter(None, others):
            enqueue.sync(other)
        return str(customer)
    if kind == "invoice_payment":
        parent = invoices.invoice(str(document["invoice"]))
    else:
        charge = document.get("charge")
        parent = invoices.charge(str(charge)) if charge else None
    return str((parent or {}).get("customer") or "")


def record_failure(subject: str, error: BaseException, *, final: bool) -> None:
    """Store the error on the subject's pending events. After the final attempt they become dead; staff can replay them."""
    state = WebhookEvent.State.DEAD if final else WebhookEvent.State.PENDING
    text = f"{type(error).__name__}: {error}"[:ERROR_LENGTH].replace("\0", "")
    WebhookEvent.objects.pending().filter(subject=subject).update(attempts=F("attempts") + 1, error=text, state=state)
    log.warning("billing.event_failed", subject=subject, error=type(error).__name__, final=final)


def replay_events(events: list[WebhookEvent], actor: User | None = None, reason: str = "") -> int:
    """Queue events again, whatever their state. Events without a subject are skipped. Returns the number of subjects queued."""
    with transaction.atomic():
        replayed = [event for event in events if event.subject]
        organizations = organizations_of(replayed)
        WebhookEvent.objects.filter(pk__in=[event.pk for event in replayed]).update(state=WebhookEvent.State.PENDING, attempts=0, error="")
        for event in replayed:
            record(
                "webhook_event.replayed",
                organization=organizations.get(event.subject),
                actor=actor,
                target=event.event_id,
                before={"state": event.state, "attempts": event.attempts},
                after={"state": WebhookEvent.State.PENDING.value, "attempts": 0},
                reason=reason,
            )
        subjects = sorted({event.subject for event in replayed})
        for subject in subjects:
            enqueue.process_events(subject)
    return len(subjects)


def discard_event(event: WebhookEvent, actor: User, reason: str) -> None:
    """Mark a dead event as discarded, so that it is no longer a problem to solve. Nothing is processed; it can still be replayed.

    Raises:
        EventNotDead: the event is not dead, or is no longer dead.
    """
    with transaction.atomic():
        if not WebhookEvent.objects.dead().filter(pk=event.pk).update(state=WebhookEvent.State.DISCARDED):
            raise EventNotDead
        record(
            "webhook_event.discarded",
            organization=organizations_of([event]).get(event.subject),
            actor=actor,
            target=event.event_id,
            before={"state": WebhookEvent.State.DEAD.value, "attempts": event.attempts, "error": event.error[:200]},
            after={"state": WebhookEvent.State.DISCARDED.value},
            reason=reason,
        )


def organizations_of(events: Iterable[WebhookEvent]) -> dict[str, Organization]:
    """Return the organizations of the events' customers, by subject. Subjects that are not an organization's customer are omitted."""
    accounts = BillingAccount.objects.filter(stripe_customer_id__in={event.subject for event in events}).select_related("organization")
    return {account.stripe_customer_id: account.organization for account in accounts if account.stripe_customer_id}
