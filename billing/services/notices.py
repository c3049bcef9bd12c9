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
    """Write down every notice that the state calls for; those already written stay as they are."""
    present = now(account.organization)
    rows = [*_of_subscriptions(states, present), *_of_invoices(account, present)]
    Notice.objects.bulk_create(
        [Notice(organization=account.organization, **row) for row in rows],
        ignore_conflicts=True,
    )


def _of_subscriptions(states: Iterable[SubscriptionState], present: datetime) -> Iterator[dict[str, Any]]:
    for state in states:
        subject = state.stripe_subscription_id
        if state.status == "past_due" and state.past_due_since and state.grace_until:
            yield from _dunning(state, state.past_due_since, state.grace_until)
        if state.status == "trialing" and state.trial_end and not state.cancel_at:
            yield _row("trial_ending", subject, state.trial_end, max(state.trial_end - BEFORE_TRIAL_ENDS, state.started_at))
        if state.status == "canceled" and state.ended_at and present - state.ended_at < NEWS:
            yield _row("ended", subject, state.ended_at, state.ended_at)


def _dunning(state: SubscriptionState, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    subject = state.stripe_subscription_id
    details = {"until": until.isoformat()}
    yield _row("dunning_started", subject, since, since, details)
    yield _row("dunning_halfway", subject, since, since + (until - since) / 2, details)
    yield _row("dunning_last_day", subject, since, max(until - BEFORE_GRACE_ENDS, since), details)
    yield _row("dunning_over", subject, since, until, details)


def _of_invoices(account: BillingAccount, present: datetime) -> Iterator[dict[str, Any]]:
    for invoice in account.organization.invoices.filter(status="paid", amount_paid__gt=0, paid_at__gt=present - NEWS):
        assert invoice.paid_at is not None
        yield _row("receipt", invoice.stripe_invoice_id, "paid", invoice.paid_at)


def _row(kind: str, subject: str, transition: object, due_at: datetime, details: dict[str, Any] | None = None) -> dict[str, Any]:
    text = transition.isoformat() if isinstance(transition, datetime) else str(transition)
    return {"kind": kind, "object_id": subject, "transition": text, "due_at": due_at, "details": details or {}}
