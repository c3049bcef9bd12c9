"""Creates the rows of due billing emails from the current state. It is idempotent: repeated syncs create each email once."""

from calendar import monthrange
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from billing.models import Adjustment, BillingAccount, BillingNotification, SubscriptionChange, SubscriptionState
from billing.models.subscriptions import ENTITLING
from billing.revenue.event_order import in_effect
from contextmcp.common.clock import now

# Older events create no emails, so that an import does not send years of receipts.
MAX_EVENT_AGE = timedelta(days=3)
TRIAL_WARNING = timedelta(days=3)
GRACE_WARNING = timedelta(days=1)
# Laws on automatic renewal require a notice before a yearly renewal: California 15 to 45 days, France one to three months for consumers.
RENEWAL_WARNING = timedelta(days=35)
CARD_WARNING = timedelta(days=30)


def schedule_notifications(account: BillingAccount, states: Iterable[SubscriptionState], withheld: Container[str] = ()) -> None:
    """Create the notifications that the current state requires. Existing rows are kept; canceled ones that apply again are reactivated.

    `withheld` contains the ids of subscriptions whose trial is withheld because it was used before.
    """
    current_time = now(account.organization)
    states = list(states)
    rows = [
        *_for_subscriptions(states, current_time, withheld),
        *_for_invoices(account, current_time),
        *_for_refunds(account, current_time),
        *_for_card(account, states, current_time),
        *_for_resumed(account, states),
    ]
    _store(account, rows)


def schedule_plan_changes(account: BillingAccount) -> None:
    """Create the notifications of plan changes in the change log. Call it after the log was updated."""
    current_time = now(account.organization)
    recent = account.organization.subscription_changes.filter(effective_at__gt=current_time - MAX_EVENT_AGE)
    changed = set(recent.values_list("stripe_subscription_id", flat=True))
    changes = account.organization.subscription_changes.filter(stripe_subscription_id__in=changed).select_related("plan_version")
    rows = []
    for subscription in changed:
        logged = in_effect(each for each in changes if each.stripe_subscription_id == subscription)
        for before, after in pairwise(logged):
            if after.effective_at > current_time - MAX_EVENT_AGE and _changes_plan(before, after):
                rows.append(_plan_change(before, after))
    _store(account, rows)


def _store(account: BillingAccount, rows: list[dict[str, Any]]) -> None:
    BillingNotification.objects.bulk_create(
        [BillingNotification(organization=account.organization, **row) for row in rows],
        ignore_conflicts=True,
    )
    required = {(row["kind"], row["object_id"], row["transition"]) for row in rows}
    canceled = account.organization.billing_notifications.filter(sent_at=None, canceled_at__isnull=False)
    reactivated = [each.pk for each in canceled if (each.kind, each.object_id, each.transition) in required]
    if reactivated:
        canceled.filter(pk__in=reactivated).update(canceled_at=None, claimed_until=None)


def _for_subscriptions(
    states: Iterable[SubscriptionState], current_time: datetime, withheld: Container[str] = ()
) -> Iterator[dict[str, Any]]:
    for state in states:
        subject = state.stripe_subscription_id
        if subject in withheld:
            if state.status == "canceled" and state.ended_at and current_time - state.ended_at < MAX_EVENT_AGE:
                yield _row("trial_withheld", subject, state.ended_at, state.ended_at)
            continue
        if state.status == "past_due" and state.past_due_since and state.grace_until:
            yield from _dunning(state, state.past_due_since, state.grace_until, current_time)
        if state.status == "trialing" and state.trial_end and not state.cancel_at and not state.collection_paused:
            yield _row("trial_ending", subject, state.trial_end, max(state.trial_end - TRIAL_WARNING, state.started_at))
            if state.on_first_trial and current_time - state.started_at < MAX_EVENT_AGE:
                yield _row("trial_started", subject, state.started_at, state.started_at)
        yield from _for_renewal(state)
        yield from _for_announced_changes(state, current_time)
        if state.status == "canceled" and state.ended_at and current_time - state.ended_at < MAX_EVENT_AGE:
            yield _row("ended", subject, state.ended_at, state.ended_at)


def _for_renewal(state: SubscriptionState) -> Iterator[dict[str, Any]]:
    end, start = state.current_period_end, state.current_period_start
    if state.status == "active" and state.interval == "year" and end and start and not state.cancel_at and not state.collection_paused:
        yield _row("renewal", state.stripe_subscription_id, end, max(end - RENEWAL_WARNING, start))


def _for_announced_changes(state: SubscriptionState, current_time: datetime) -> Iterator[dict[str, Any]]:
    """Yield the emails about a cancellation and a scheduled plan change that are still ahead."""
    if state.status not in ENTITLING:
        return
    if state.cancel_at and state.canceled_at and state.cancel_at > current_time and current_time - state.canceled_at < MAX_EVENT_AGE:
        yield _row("canceled", state.stripe_subscription_id, cancellation_key(state), state.canceled_at)
    if state.upcoming_change and not state.cancel_at:
        due_at = state.current_period_start or state.started_at
        yield _row("change_scheduled", state.stripe_subscription_id, change_key(state.upcoming_change), due_at)


def cancellation_key(state: SubscriptionState) -> str:
    """Return what distinguishes this cancellation from others of the subscription."""
    return f"{state.canceled_at:%Y-%m-%dT%H:%M:%S} {state.cancel_at:%Y-%m-%d}"


def change_key(change: Mapping[str, Any] | None) -> str:
    """Return what distinguishes this scheduled plan change from others of the subscription."""
    return f"{change['plan']} {change['interval']} {change['at']}" if change else ""


def _for_resumed(account: BillingAccount, states: Iterable[SubscriptionState]) -> Iterator[dict[str, Any]]:
    """Yield an email for each cancellation that was announced and then undone."""
    running = {state.stripe_subscription_id for state in states if state.status in ENTITLING and not state.cancel_at}
    announced = account.organization.billing_notifications.filter(kind="canceled", object_id__in=running, sent_at__isnull=False)
    for row in announced if running else ():
        yield _row("resumed", row.object_id, row.transition, row.due_at)


def _for_refunds(account: BillingAccount, current_time: datetime) -> Iterator[dict[str, Any]]:
    refunds = account.organization.billing_adjustments.filter(kind=Adjustment.Kind.REFUND, status="succeeded")
    for refund in refunds.filter(created_at__gt=current_time - MAX_EVENT_AGE):
        yield _row("refund", refund.stripe_id, "succeeded", refund.created_at)


def _for_card(account: BillingAccount, states: Iterable[SubscriptionState], current_time: datetime) -> Iterator[dict[str, Any]]:
    """Yield the email about a card that expires before it will be charged again."""
    card = account.payment_method or {}
    month, year = card.get("exp_month"), card.get("exp_year")
    if not month or not year or not any(state.status in ENTITLING and not state.cancel_at for state in states):
        return
    # A card works until the end of its last month.
    end = datetime(year, month, monthrange(year, month)[1], tzinfo=UTC) + timedelta(days=1)
    if end > current_time:
        yield _row("card_expiring", card["id"], f"{year}-{month}", end - CARD_WARNING)


def _changes_plan(before: SubscriptionChange, after: SubscriptionChange) -> bool:
    running = before.status in ENTITLING and after.status in ENTITLING
    return running and before.plan_version is not None and after.plan_version is not None and _terms(before) != _terms(after)


def _terms(change: SubscriptionChange) -> tuple[str, str]:
    """Return the plan and the interval."""
    intervals = sorted(price["interval"] for price in change.prices if price.get("interval"))
    return (change.plan_version.plan if change.plan_version else ""), ("year" if "year" in intervals else "month")


def _plan_change(before: SubscriptionChange, after: SubscriptionChange) -> dict[str, Any]:
    (former, former_interval), (plan, interval) = _terms(before), _terms(after)
    # The day, because a sync can find the change seconds before its event arrives, which has another time.
    transition = f"{after.effective_at:%Y-%m-%d} {former} {former_interval} {plan} {interval}"
    # The time of the notification must not depend on which of both was first.
    due_at = after.effective_at.replace(hour=0, minute=0, second=0, microsecond=0)
    details = {"before": former, "plan": plan, "interval": interval}
    return _row("plan_changed", after.stripe_subscription_id, transition[:64], due_at, details)


def _dunning(state: SubscriptionState, since: datetime, until: datetime, current_time: datetime) -> Iterator[dict[str, Any]]:
    """Yield the email of the current dunning stage and of the later stages. Earlier stages are skipped if they were missed."""
    stages = {
        "dunning_started": since,
        "dunning_halfway": since + (until - since) / 2,
        "dunning_last_day": max(until - GRACE_WARNING, since),
        "dunning_over": until,
    }
    past_kinds = [kind for kind, due_at in stages.items() if due_at <= current_time]
    for kind, due_at in stages.items():
        if kind not in past_kinds[:-1]:
            yield _row(kind, state.stripe_subscription_id, since, due_at, {"until": until.isoformat()})


def _for_invoices(account: BillingAccount, current_time: datetime) -> Iterator[dict[str, Any]]:
    for invoice in account.organization.invoices.filter(status="paid", amount_paid__gt=0, paid_at__gt=current_time - MAX_EVENT_AGE):
        assert invoice.paid_at is not None
        yield _row("receipt", invoice.stripe_invoice_id, "paid", invoice.paid_at)


def _row(kind: str, subject: str, transition: object, due_at: datetime, details: dict[str, Any] | None = None) -> dict[str, Any]:
    text = transition.isoformat() if isinstance(transition, datetime) else str(transition)
    return {"kind": kind, "object_id": subject, "transition": text, "due_at": due_at, "details": details or {}}
