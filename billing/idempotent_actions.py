"""Actions at Stripe that are recorded first: a row is committed before the request, and its id is the idempotency key."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from accounts.audit import record
from accounts.models import Organization, User
from accounts.types import Caller
from billing.errors import PaymentConfirmationRequired, StripeUnavailable
from billing.models import BillingAction, SubscriptionState
from contextmcp.common.clock import now

from . import enqueue

Actor = Caller | User | None
# Stripe keeps idempotency keys for at least 24 hours (https://docs.stripe.com/api/idempotent_requests). Older actions are not resumed.
RESUME_WINDOW = timedelta(hours=20)


def acting_user(actor: Actor) -> User | None:
    """Return the user of an actor; None if it has no user."""
    return actor.user if isinstance(actor, Caller) else actor


def start_action(organization: Organization, kind: str, actor: Actor, **parameters: Any) -> BillingAction:
    """Create an action with a new key and mark all pending ones as superseded."""
    supersede_pending_actions(organization)
    return BillingAction.objects.create(organization=organization, kind=kind, parameters=parameters, created_by=acting_user(actor))


def supersede_pending_actions(organization: Organization, but: BillingAction | None = None) -> None:
    """Mark the organization's pending actions as superseded by a new one.

    Otherwise, if the response to a cancellation was lost and the customer then resumes and cancels the subscription, the second
    cancellation would use the key of the first one. Stripe would replay the old response, and the subscription would not end.
    """
    pending = BillingAction.objects.pending().filter(organization=organization)
    pending = pending.exclude(pk=but.pk) if but else pending
    pending.update(state=BillingAction.State.FAILED, error="superseded", finished_at=now())


@dataclass(frozen=True, slots=True)
class AuditNote:
    """Additional audit details of an action: the reason and the previous values."""

    reason: str = ""
    before: dict[str, Any] | None = None


NO_NOTE = AuditNote()


@contextmanager
def idempotent_action(
    organization: Organization, kind: str, actor: Actor, note: AuditNote = NO_NOTE, /, **parameters: Any
) -> Iterator[BillingAction]:
    """Yield the action whose id is the idempotency key of the block's requests. The action is done and audited if the block succeeds.

    A pending action with the same parameters, whose response was lost, is resumed with the same key unless it was superseded.
    """
    unfinished = BillingAction.objects.pending().filter(organization=organization, kind=kind, parameters=parameters)
    row = unfinished.filter(created_at__gt=now() - RESUME_WINDOW).first() or start_action(organization, kind, actor, **parameters)
    try:
        yield row
    except StripeUnavailable:
        raise  # The outcome is unknown, so the action stays pending.
    except PaymentConfirmationRequired:
        row.state = BillingAction.State.WAITING
        row.save(update_fields=["state"])
        raise
    except Exception as error:
        finish_action(row, BillingAction.State.FAILED, f"{type(error).__name__}: {error}"[:500])
        raise
    finish_action(row, BillingAction.State.DONE)
    target = f"billing:{organization.pk}"
    record(
        f"billing.{kind}", organization=organization, actor=actor, target=target, before=note.before, after=parameters, reason=note.reason
    )


def finish_action(row: BillingAction, state: str, error: str = "") -> None:
    """Set the action's final state and the time when it finished."""
    row.state, row.error, row.finished_at = state, error, now()
    row.save(update_fields=["state", "error", "finished_at"])


def conclude_pending_actions(organization: Organization, states: Iterable[SubscriptionState]) -> None:
    """Mark plan changes that no longer wait for payment confirmation as done or failed. Called after each projection."""
    by_id = {state.stripe_subscription_id: state for state in states}
    for row in BillingAction.objects.waiting().filter(organization=organization):
        state = by_id.get(row.parameters["subscription"])
        if state and state.pending_change and state.pending_change["price"] == row.parameters["price"]:
            continue
        if state is None or state.stripe_price_id != row.parameters["price"]:
            finish_action(row, BillingAction.State.FAILED, "The payment was not confirmed before it expired.")
            continue
        finish_action(row, BillingAction.State.DONE)
        target = f"billing:{organization.pk}"
        record(f"billing.{row.kind}", organization=organization, actor=row.created_by, target=target, after=row.parameters)
        if state.schedule_id:
            # The schedule was created before the change that is now paid, so it is obsolete.
            enqueue.release_schedule(str(organization.pk), state.schedule_id)
