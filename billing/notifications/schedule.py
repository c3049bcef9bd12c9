"""Creates the rows of due billing emails from the current state. It is idempotent: repeated syncs create each email once."""

from collections.abc import Container, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from billing.models import BillingAccount, BillingNotification, SubscriptionState
from contextmcp.common.clock import now

# Older events create no emails, so that an import does not send years of receipts.
MAX_EVENT_AGE = timedelta(days=3)
TRIAL_WARNING = timedelta(days=3)
GRACE_WARNING = timedelta(days=1)


def schedule_notifications(account: BillingAccount, states: Iterable[SubscriptionState], withheld: Container[str] = ()) -> None:
    """Create the notifications that the current state requires. Existing rows are kept; canceled ones that apply again are reactivated.

    `withheld` contains the ids of subscriptions whose trial is withheld because it was used before.
    """
    current_time = now(account.organization)
    rows = [*_for_subscriptions(states, current_time, withheld), *_for_invoices(account, current_time)]
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
        if state.status == "canceled" and state.ended_at and current_time - state.ended_at < MAX_EVENT_AGE:
            yield _row("ended", subject, state.ended_at, state.ended_at)


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
