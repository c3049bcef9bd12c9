"""What should be said, as rows: a function of the present state, so that any number of looks says it once."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from billing.models import BillingAccount, Notice, SubscriptionState
from contextmcp.common.clock import now

# What happened longer ago than this is history, not news: an import must not mail years of receipts.
NEWS = timedelta(days=3)
BEFORE_TRIAL_ENDS = timedelta(days=3)
BEFORE_GRACE_ENDS = timedelta(days=1)


def due(account: BillingAccount, states: Iterable[SubscriptionState]) -> None:
    """Write down every notice that the state calls for; those already written stay as they are, or stand again if they were dropped."""
    present = now(account.organization)
    rows = [*_of_subscriptions(states, present), *_of_invoices(account, present)]
    Notice.objects.bulk_create(
        [Notice(organization=account.organization, **row) for row in rows],
        ignore_conflicts=True,
    )
    wanted = {(row["kind"], row["object_id"], row["transition"]) for row in rows}
    dropped = account.organization.billing_notices.filter(sent_at=None, dropped_at__isnull=False)
    again = [each.pk for each in dropped if (each.kind, each.object_id, each.transition) in wanted]
    if again:
        dropped.filter(pk__in=again).update(dropped_at=None, claimed_until=None)


def _of_subscriptions(states: Iterable[SubscriptionState], present: datetime) -> Iterator[dict[str, Any]]:
    for state in states:
        subject = state.stripe_subscription_id
        if state.status == "past_due" and state.past_due_since and state.grace_until:
            yield from _dunning(state, state.past_due_since, state.grace_until, present)
        if state.status == "trialing" and state.trial_end and not state.cancel_at:
            yield _row("trial_ending", subject, state.trial_end, max(state.trial_end - BEFORE_TRIAL_ENDS, state.started_at))
        if state.status == "canceled" and state.ended_at and present - state.ended_at < NEWS:
            yield _row("ended", subject, state.ended_at, state.ended_at)


def _dunning(state: SubscriptionState, since: datetime, until: datetime, present: datetime) -> Iterator[dict[str, Any]]:
    """The letter of the stage that it is at, and those to come: heard of late, it is not told from the start."""
    stages = {
        "dunning_started": since,
        "dunning_halfway": since + (until - since) / 2,
        "dunning_last_day": max(until - BEFORE_GRACE_ENDS, since),
        "dunning_over": until,
    }
    begun = [kind for kind, due_at in stages.items() if due_at <= present]
    for kind, due_at in stages.items():
        if kind not in begun[:-1]:
            yield _row(kind, state.stripe_subscription_id, since, due_at, {"until": until.isoformat()})


def _of_invoices(account: BillingAccount, present: datetime) -> Iterator[dict[str, Any]]:
    for invoice in account.organization.invoices.filter(status="paid", amount_paid__gt=0, paid_at__gt=present - NEWS):
        assert invoice.paid_at is not None
        yield _row("receipt", invoice.stripe_invoice_id, "paid", invoice.paid_at)


def _row(kind: str, subject: str, transition: object, due_at: datetime, details: dict[str, Any] | None = None) -> dict[str, Any]:
    text = transition.isoformat() if isinstance(transition, datetime) else str(transition)
    return {"kind": kind, "object_id": subject, "transition": text, "due_at": due_at, "details": details or {}}
