"""Synchronizes one customer from Stripe. It is the only code that writes a customer's data from Stripe to the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction

from accounts.audit import record
from accounts.models import Organization, User
from billing import customer_mapping, enqueue, operator_alerts, payment_methods
from billing.catalog import prices
from billing.customer_locks import lock_customer
from billing.documents import refund_policy
from billing.documents.stripe_documents import Document, at, paid_by, reference_id, subscription_of
from billing.models import Adjustment, BillingAccount, WebhookEvent
from billing.models.subscriptions import ENDED
from billing.notifications import schedule
from billing.revenue import change_log
from billing.selectors import is_paused_by_customer
from billing.stripe.mirror import read, store
from billing.types import SyncResult
from contextmcp.common.clock import now

from . import fetch, unlinked_purchases
from .customer_projection import project_customer

log = structlog.get_logger(__name__)


def sync_customer(customer_id: str, *, only_if_pending: bool = False, dry_run: bool = False) -> SyncResult:
    """Lock the customer, fetch its snapshot, mirror it, rebuild the projection and mark its pending events, in one transaction.

    Used by webhooks, the return from Checkout, the admin action and reconciliation. With `only_if_pending`, a customer without pending
    events is skipped, so that a burst of events costs one fetch. A `dry_run` returns the changes and rolls back.
    Raises `StripeUnavailable`, `BillingNotConfigured`.
    """
    with transaction.atomic():
        as_of = lock_customer(customer_id)
        # The pending events are read before the fetch, so the snapshot includes the effects of each of them.
        pending = dict(WebhookEvent.objects.pending().filter(subject=customer_id).values_list("pk", "source"))
        if only_if_pending and not pending:
            return SyncResult(customer_id, None)
        purchase = unlinked_purchases.UnlinkedPurchase(customer_id, list(pending))
        snapshot = fetch.fetch_snapshot(customer_id, read.subscription_ids(customer_id), purchase.is_ours)
        account = customer_mapping.account_for_customer(customer_id, snapshot.customer)
        if account is None:
            purchase.alert()
        changes = _apply_snapshot(account, snapshot, as_of, list(pending)) if account else ()
        _mark_processed(pending, ours=account is not None)
        unpriced = _without_plan(account, snapshot) if account else []
        unknown = prices.unregistered(item["price"]["id"] for each in unpriced for item in each["items"]["data"])
        if dry_run:
            transaction.set_rollback(True)
        events = sum(source == WebhookEvent.Source.WEBHOOK for source in pending.values())
        return SyncResult(customer_id, account.organization_id if account else None, events, tuple(changes), tuple(unknown))


def sync_for_staff(customer_id: str, organization: Organization, actor: User, reason: str) -> SyncResult:
    """Sync a customer at the request of staff, and record the actor, the reason and the differences in the audit log."""
    synced_at = BillingAccount.objects.filter(stripe_customer_id=customer_id).values_list("synced_at", flat=True).first()
    before = {"synced_at": synced_at.isoformat() if synced_at else None}
    result = sync_customer(customer_id)
    differences = [f"{kind}: {subject}" for kind, subject, *_ in result.changes]
    after = {"differences": differences}
    record("billing.synced", organization=organization, actor=actor, target=customer_id, before=before, after=after, reason=reason)
    return result


def _apply_snapshot(account: BillingAccount, snapshot: fetch.StripeSnapshot, as_of: datetime, events: list[int]) -> list[Any]:
    change_log.record_known_subscriptions(account.organization)
    if snapshot.customer:
        customer_mapping.set_clock(account, snapshot.clock)
        store.write_customer(
            snapshot.customer,
            payment_methods=snapshot.payment_methods,
            subscriptions=snapshot.subscriptions,
            invoices=snapshot.invoices,
        )
        _adjustments(account, snapshot)
    else:
        # The clock offset is kept: a subscription that ended on a test clock must not become active again when the customer and the clock
        # are deleted.
        store.delete_customer(snapshot.customer_id)
        for document in snapshot.subscriptions:
            store.write_subscription(document)
    _update_account(account, snapshot, as_of)
    prices.register_external_prices(snapshot.subscriptions)
    ours = prices.own_subscriptions(snapshot.subscriptions)
    if reason := refund_policy.cancellation_reason(ours, snapshot.invoices, snapshot.charges, snapshot.disputes):
        enqueue.forced_cancellation(snapshot.customer_id, reason)
    if _has_unpaid_draft(ours, snapshot):
        enqueue.finalize_unpaid(snapshot.customer_id)
    changes = project_customer(account, snapshot.charges)
    change_log.record_changes(account.organization, events, snapshot.subscriptions)
    schedule.schedule_plan_changes(account)
    _alert(account, snapshot, changes)
    # Writing the grants locked the organization's row. If the organization is closed concurrently, either that transaction or this check
    # sees the live subscription.
    if account.organization.subscriptions.live().filter(organization__closed_at__isnull=False).exists():
        enqueue.cancel_all(str(account.organization_id))
    if changes:
        log.info("billing.synced", customer=snapshot.customer_id, organization=str(account.organization_id), changes=len(changes))
    return changes


def _alert(account: BillingAccount, snapshot: fetch.StripeSnapshot, changes: Iterable[tuple[str, str, Any, Any]]) -> None:
    """Open operator alerts for collections that staff paused and unknown prices. Reconciliation records them again every night."""
    by_kind: dict[str, set[str]] = defaultdict(set)
    for kind, subject, *_ in changes:
        by_kind[kind].add(subject)
    subjects = by_kind["subscriptionstate_missing"] | by_kind["subscriptionstate_collection_paused"]
    for state in account.organization.subscriptions.live().filter(stripe_subscription_id__in=subjects).exclude(collection_paused=""):
        if is_paused_by_customer(state):
            continue
        operator_alerts.raise_alert(
            operator_alerts.COLLECTION_PAUSED,
            account.organization,
            subject=state.stripe_subscription_id,
            subscription=state.stripe_subscription_id,
            behavior=state.collection_paused,
        )
    for document in _without_plan(account, snapshot):
        operator_alerts.raise_alert(
            operator_alerts.UNKNOWN_PRICE, account.organization, subject=document["id"], subscription=document["id"]
        )


def _without_plan(account: BillingAccount, snapshot: fetch.StripeSnapshot) -> list[Document]:
    """Return the running subscriptions if the organization has no plan from any registered price."""
    live = list(account.organization.subscriptions.live().filter(plan_version__isnull=False))
    known = prices.price_index()
    if any(state.stripe_price_id in known for state in live):
        return []
    return [each for each in snapshot.subscriptions if each["status"] in ("active", "trialing", "past_due")]


def _update_account(account: BillingAccount, snapshot: fetch.StripeSnapshot, as_of: datetime) -> None:
    customer = snapshot.customer
    account.currency = (customer or {}).get("currency") or account.currency
    card = _card(customer, snapshot)
    # A payment method is new if it differs from the one of the last sync. At the first sync it may be the one that was declined.
    if account.synced_at and card and card["id"] != (account.payment_method or {}).get("id") and _has_open_invoice(snapshot):
        enqueue.pay_open_invoices(snapshot.customer_id, card["id"])
    account.payment_method = card
    account.customer_deleted_at = None if customer else account.customer_deleted_at or now(account.organization)
    account.synced_at = as_of
    # The update applies only if the account still has this customer: a stale copy must not replace a customer that was linked meanwhile.
    columns = ("currency", "payment_method", "customer_deleted_at", "synced_at", "clock_frozen_at")
    unchanged = BillingAccount.objects.filter(pk=account.pk, stripe_customer_id=snapshot.customer_id)
    unchanged.update(**{name: getattr(account, name) for name in columns})


def _has_unpaid_draft(subscriptions: Iterable[dict[str, Any]], snapshot: fetch.StripeSnapshot) -> bool:
    """Return whether an unpaid subscription's latest invoice is a draft, which cannot be paid."""
    drafts = {invoice["id"] for invoice in snapshot.invoices if invoice["status"] == "draft"}
    return any(each["status"] == "unpaid" and reference_id(each["latest_invoice"]) in drafts for each in subscriptions)


def _has_open_invoice(snapshot: fetch.StripeSnapshot) -> bool:
    """Return whether a live subscription has an invoice whose payment failed."""
    live = {each["id"] for each in snapshot.subscriptions if each["status"] not in ENDED}
    unpaid = any(each["status"] == "unpaid" for each in snapshot.subscriptions)
    return unpaid or any(each["status"] == "open" and each["attempted"] and subscription_of(each) in live for each in snapshot.invoices)


def _card(customer: dict[str, Any] | None, snapshot: fetch.StripeSnapshot) -> dict[str, Any] | None:
    """Return the payment method that Stripe charges: the live subscription's default, or else the customer's default."""
    cards = {card["id"]: card for card in snapshot.payment_methods}
    live = [each for each in prices.own_subscriptions(snapshot.subscriptions) if not each["ended_at"]]
    references = [each.get("default_payment_method") for each in live]
    references.append(((customer or {}).get("invoice_settings") or {}).get("default_payment_method"))
    for reference in references:
        card = cards.get(reference["id"] if isinstance(reference, dict) else reference)
        if card:
            return payment_methods.to_row(card)
    return None


def _adjustments(account: BillingAccount, snapshot: fetch.StripeSnapshot) -> None:
    """Store refunds, disputes and credit notes, each with the invoice that it belongs to."""
    invoices = {intent: invoice["id"] for intent, invoice in paid_by(snapshot.invoices).items()}
    invoice_of = {charge["id"]: invoices.get(charge["payment_intent"], "") for charge in snapshot.charges}
    for kind, documents in (("refund", snapshot.refunds), ("dispute", snapshot.disputes), ("credit_note", snapshot.credit_notes)):
        for document in documents:
            charge = document.get("charge") or ""
            Adjustment.objects.update_or_create(
                stripe_id=document["id"],
                defaults={
                    "organization": account.organization,
                    "kind": kind,
                    "stripe_charge_id": charge,
                    "stripe_payment_intent_id": document.get("payment_intent") or "",
                    "stripe_invoice_id": document.get("invoice") or invoice_of.get(charge, ""),
                    "status": document["status"] or "",
                    "reason": document.get("reason") or "",
                    "amount": document["amount"],
                    "currency": document["currency"],
                    "created_at": at(document["created"]),
                },
            )


def _mark_processed(events: Iterable[int], *, ours: bool) -> None:
    state = WebhookEvent.State.PROCESSED if ours else WebhookEvent.State.IGNORED
    WebhookEvent.objects.filter(pk__in=events).update(state=state, processed_at=now(), error="")
