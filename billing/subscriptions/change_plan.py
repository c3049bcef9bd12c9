"""Plan changes, cancellation and resumption of a subscription."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_noop as _

from accounts.models import Organization
from billing.customer_locks import serialized
from billing.errors import NothingToChange, PaymentConfirmationRequired, PreviewExpired
from billing.idempotent_actions import NO_NOTE, Actor, AuditNote, idempotent_action
from billing.models import BillingAction
from billing.overage import reporting
from billing.stripe.gateway import subscriptions
from billing.sync.customer import sync_customer
from billing.types import NO_REASON, CancellationReason

from . import pay_open_invoices, payment_confirmation, preview, scheduled_change
from .resolve_plan_change import PlanChange, checked_after_refusal, require_active_subscription, resolve_plan_change

# Validity of a preview. Its proration date is sent to Stripe, so that the invoice matches the preview exactly.
PREVIEW_LIFETIME = timedelta(minutes=15)


def change_plan(organization: Organization, plan: str, interval: str, proration_date: datetime | None, actor: Actor) -> None:
    """Change the plan immediately or schedule the change for the end of the period, then sync.

    `proration_date` is that of a preview, or None.

    Raises the errors of `resolve_plan_change`, and:

    - `PreviewExpired`.
    - `PaymentRequired`: the payment was declined. Nothing changed.
    - `PaymentConfirmationRequired`: the bank requires confirmation on the page `url`. The change is applied once the payment is confirmed.
    """
    with serialized(organization.pk):
        state = require_active_subscription(organization)
        # The decision must be based on the current state at Stripe, not on the last sync.
        sync_customer(state.stripe_customer_id)
        pay_open_invoices.finalize_latest(organization)
        target = resolve_plan_change(organization, plan, interval)
        payment_confirmation.repeat_confirmation(target.state, plan, interval)
        if payment_confirmation.discard_confirmation(target.state):
            target = resolve_plan_change(organization, plan, interval)
        moment = _validated_proration_date(target, proration_date)
        parameters = {"subscription": target.state.stripe_subscription_id, "price": target.price.stripe_price_id, "when": target.when}
        if moment:
            # A different proration date needs a new action, because Stripe rejects an idempotency key that is reused with different
            # parameters.
            parameters["proration_date"] = moment.isoformat()
        try:
            with (
                checked_after_refusal(target.state),
                idempotent_action(organization, "change_plan", actor, plan=plan, interval=interval, **parameters) as row,
            ):
                if target.when == "now":
                    if not target.sells_overage:
                        reporting.flush(organization)
                    _apply_now(target, moment, row)
                else:
                    scheduled_change.schedule_change(target, row)
        finally:
            # Sync after a failure as well, because a declined attempt may have created an invoice.
            sync_customer(state.stripe_customer_id)


def _validated_proration_date(target: PlanChange, proration_date: datetime | None) -> datetime | None:
    if proration_date is None or target.when != "now" or target.on_trial:
        return None
    start = target.state.current_period_start
    if not timedelta() <= target.at - proration_date <= PREVIEW_LIFETIME or (start and proration_date < start):
        raise PreviewExpired
    return proration_date


def _apply_now(target: PlanChange, moment: datetime | None, row: BillingAction) -> None:
    subscription_id = target.state.stripe_subscription_id
    plan_item, *others = preview.items(target)
    regular: dict[str, Any] = {"proration_behavior": "none" if target.on_trial else "always_invoice"}
    if moment:
        regular["proration_date"] = int(moment.timestamp())
    with scheduled_change.released_schedule(target, row):
        try:
            subscriptions.update(subscription_id, key=row.pk, items=[plan_item, *others], payment_behavior="error_if_incomplete", **regular)
        except PaymentConfirmationRequired:
            # A pending update cannot remove an item. `overage_settings.remove_unused_item` removes an unused metered item later.
            payment_confirmation.start_confirmation(subscription_id, key=f"{row.pk}-confirm", items=[plan_item], **regular)


def cancel_scheduled_change(organization: Organization, actor: Actor) -> None:
    """Cancel a plan change that is scheduled or waits for payment confirmation. Raises `NothingToChange` if there is none."""
    with serialized(organization.pk):
        state = require_active_subscription(organization)
        sync_customer(state.stripe_customer_id)
        discarded = payment_confirmation.discard_confirmation(require_active_subscription(organization))
        state = require_active_subscription(organization)
        if not state.schedule_id:
            if discarded:
                return
            raise NothingToChange(_("No plan change is scheduled."))
        with (
            checked_after_refusal(state),
            idempotent_action(organization, "cancel_scheduled_change", actor, schedule=state.schedule_id) as row,
        ):
            subscriptions.release_schedule(state.schedule_id, key=row.pk)
        sync_customer(state.stripe_customer_id)


def cancel_subscription(
    organization: Organization, actor: Actor, *, at_once: bool, note: AuditNote = NO_NOTE, reason: CancellationReason = NO_REASON
) -> None:
    """Cancel the subscription at the end of the period, or immediately. No refund is created. `note` is added to the audit event.

    The customer's `reason` is stored in the audit event and at Stripe.

    Raises `NoSubscription`, `NothingToChange` if a cancellation is already scheduled.
    """
    with serialized(organization.pk):
        # Sync first: releasing a schedule that has already ended would be rejected.
        sync_customer(require_active_subscription(organization).stripe_customer_id)
        payment_confirmation.discard_confirmation(require_active_subscription(organization))
        state = require_active_subscription(organization)
        if state.cancel_at and not at_once:
            raise NothingToChange(_("The subscription is already scheduled to be canceled."))
        details = {name: value for name, value in (("feedback", reason.feedback), ("comment", reason.comment)) if value}
        parameters = {"subscription": state.stripe_subscription_id, "at_once": at_once, **details}
        stated = {"cancellation_details": details} if details else {}
        with checked_after_refusal(state), idempotent_action(organization, "cancel", actor, note, **parameters) as row:
            if state.schedule_id:
                subscriptions.release_schedule(state.schedule_id, key=f"{row.pk}-release")
            if at_once:
                reporting.flush(organization)
                subscriptions.cancel(state.stripe_subscription_id, key=row.pk, invoice_now=bool(state.overage_item_id), **stated)
            else:
                subscriptions.update(state.stripe_subscription_id, key=row.pk, cancel_at_period_end=True, **stated)
        sync_customer(state.stripe_customer_id)


def resume_subscription(organization: Organization, actor: Actor, note: AuditNote = NO_NOTE) -> None:
    """Revert a scheduled cancellation, or resume a paused subscription. `note` is added to the audit event.

    Raises `NoSubscription`, `NothingToChange`.
    """
    with serialized(organization.pk):
        sync_customer(require_active_subscription(organization).stripe_customer_id)
        state = require_active_subscription(organization)
        if state.status != "paused" and not state.cancel_at:
            raise NothingToChange(_("The subscription is not scheduled to be canceled."))
        with (
            checked_after_refusal(state),
            idempotent_action(organization, "resume", actor, note, subscription=state.stripe_subscription_id) as row,
        ):
            if state.status == "paused":
                subscriptions.resume(state.stripe_subscription_id, key=row.pk)
            else:
                subscriptions.update(state.stripe_subscription_id, key=row.pk, **_no_cancellation(state.stripe_subscription_id))
        sync_customer(state.stripe_customer_id)


def _no_cancellation(subscription_id: str) -> dict[str, Any]:
    document = subscriptions.retrieve(subscription_id)
    # A cancellation by date, which the dashboard can schedule, has to be removed by clearing `cancel_at`.
    return {"cancel_at_period_end": False} if document and document["cancel_at_period_end"] else {"cancel_at": ""}
