"""Bringing one customer up to Stripe's present truth. The only way anything of Stripe's gets in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction

from billing.mirror import read, store
from billing.models import Adjustment, BillingAccount, WebhookEvent
from billing.models.subscriptions import ENDED
from billing.types import SyncResult
from contextmcp.common.clock import now

from . import accounts, policy, prices, queue, truth
from .locks import lock_customer
from .projection import at, paid_by, subscription_of
from .rebuild import rebuild

log = structlog.get_logger(__name__)


def sync_customer(customer_id: str, *, only_if_waiting: bool = False, dry_run: bool = False) -> SyncResult:
    """Lock the customer, fetch, mirror, rebuild the projection, and tick off the events that waited for it: all or nothing.

    Serves webhooks, the return from Checkout, staff's button and reconciliation. With `only_if_waiting` a customer without waiting events
    is left alone, so that a burst of events costs one fetch. A `dry_run` says what would change, and takes it back.
    Raises `StripeUnavailable`, `BillingNotConfigured`.
    """
    with transaction.atomic():
        as_of = lock_customer(customer_id)
        # Read before the fetch: whatever Stripe told us until here is older than what it is about to say.
        waiting = dict(WebhookEvent.objects.waiting().filter(subject=customer_id).values_list("pk", "source"))
        if only_if_waiting and not waiting:
            return SyncResult(customer_id, None)
        present = truth.fetch(customer_id, read.subscription_ids(customer_id), lambda customer: accounts.is_ours(customer_id, customer))
        account = accounts.of_customer(customer_id, present.customer)
        changes = _write(account, present, as_of) if account else ()
        _tick_off(waiting, ours=account is not None)
        if dry_run:
            transaction.set_rollback(True)
        told = sum(source == WebhookEvent.Source.WEBHOOK for source in waiting.values())
        return SyncResult(customer_id, account.organization_id if account else None, told, tuple(changes))


def _write(account: BillingAccount, present: truth.Truth, as_of: datetime) -> list[Any]:
    if present.customer:
        accounts.set_clock(account, present.clock)
        store.write_customer(
            present.customer,
            payment_methods=present.payment_methods,
            subscriptions=present.subscriptions,
            invoices=present.invoices,
        )
        _adjustments(account, present)
    else:
        # Its time stays as it was: what is over by a test clock must not come to life when the customer, and the clock with it, is gone.
        store.delete_customer(present.customer_id)
        for document in present.subscriptions:
            store.write_subscription(document)
    _note(account, present, as_of)
    ours = prices.ours(present.subscriptions)
    if reason := policy.breach(ours, present.invoices, present.charges, present.disputes):
        queue.enforce_later(present.customer_id, reason)
    changes = rebuild(account)
    # The organization is locked since its grants were written: either its closing finds what runs, or this does.
    if account.organization.subscriptions.live().filter(organization__closed_at__isnull=False).exists():
        queue.end_later(str(account.organization_id))
    if changes:
        log.info("billing.synced", customer=present.customer_id, organization=str(account.organization_id), changes=len(changes))
    return changes


def _note(account: BillingAccount, present: truth.Truth, as_of: datetime) -> None:
    customer = present.customer
    account.currency = (customer or {}).get("currency") or account.currency
    card = _card(customer, present)
    # New is what was not there at the last look, be it instead of another or of none. At the first look it may be what was declined.
    if account.synced_at and card and card["id"] != (account.payment_method or {}).get("id") and _owes(present):
        queue.pay_later(present.customer_id, card["id"])
    account.payment_method = card
    account.customer_deleted_at = None if customer else account.customer_deleted_at or now(account.organization)
    account.synced_at = as_of
    # Not where the organization has got another customer meanwhile: a copy that is old by now must not take that one away.
    told = ("currency", "payment_method", "customer_deleted_at", "synced_at", "clock_frozen_at")
    same = BillingAccount.objects.filter(pk=account.pk, stripe_customer_id=present.customer_id)
    same.update(**{name: getattr(account, name) for name in told})


def _owes(present: truth.Truth) -> bool:
    """Whether something that still runs waits for a payment."""
    live = {each["id"] for each in present.subscriptions if each["status"] not in ENDED}
    return any(each["status"] == "open" and each["attempted"] and subscription_of(each) in live for each in present.invoices)


def _card(customer: dict[str, Any] | None, present: truth.Truth) -> dict[str, Any] | None:
    """What pays: the live subscription's own card, else the customer's default. Stripe charges no other, even where there is one."""
    cards = {card["id"]: card for card in present.payment_methods}
    live = [each for each in prices.ours(present.subscriptions) if not each["ended_at"]]
    wanted = [each.get("default_payment_method") for each in live]
    wanted.append(((customer or {}).get("invoice_settings") or {}).get("default_payment_method"))
    for reference in wanted:
        card = cards.get(reference["id"] if isinstance(reference, dict) else reference)
        if card and card.get("card"):
            return {"id": card["id"]} | {name: card["card"].get(name) for name in ("brand", "last4", "exp_month", "exp_year")}
    return None


def _adjustments(account: BillingAccount, present: truth.Truth) -> None:
    """Refunds, disputes and credit notes, each with the invoice it belongs to."""
    invoices = {intent: invoice["id"] for intent, invoice in paid_by(present.invoices).items()}
    invoice_of = {charge["id"]: invoices.get(charge["payment_intent"], "") for charge in present.charges}
    for kind, things in (("refund", present.refunds), ("dispute", present.disputes), ("credit_note", present.credit_notes)):
        for thing in things:
            charge = thing.get("charge") or ""
            Adjustment.objects.update_or_create(
                stripe_id=thing["id"],
                defaults={
                    "organization": account.organization,
                    "kind": kind,
                    "stripe_charge_id": charge,
                    "stripe_invoice_id": thing.get("invoice") or invoice_of.get(charge, ""),
                    "status": thing["status"] or "",
                    "reason": thing.get("reason") or "",
                    "amount": thing["amount"],
                    "currency": thing["currency"],
                    "created_at": at(thing["created"]),
                },
            )


def _tick_off(events: Iterable[int], *, ours: bool) -> None:
    state = WebhookEvent.State.PROCESSED if ours else WebhookEvent.State.IGNORED
    WebhookEvent.objects.filter(pk__in=events).update(state=state, processed_at=now(), error="")
