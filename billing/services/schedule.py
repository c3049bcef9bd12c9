"""Plan changes that wait for the period's end: Stripe's subscription schedules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from billing.errors import PaymentRequired, StripeRejected, StripeUnavailable
from billing.gateway import subscriptions
from billing.models import BillingAction

from .projection import at
from .target import Target

log = structlog.get_logger(__name__)


def plan(target: Target, row: BillingAction) -> None:
    """Have the change made when what is paid for is over, instead of any that was planned before."""
    subscription = subscriptions.retrieve(target.state.stripe_subscription_id) or {}
    schedule = subscription.get("schedule")
    if not schedule:
        schedule = subscriptions.schedule_from(target.state.stripe_subscription_id, key=f"{row.pk}-schedule")
    # By the discount's own id, so that it ends when it would have ended. A phase that does not name it would lose it.
    discounts = {"discounts": [{"discount": each} for each in subscription.get("discounts") or []]}
    present = next(phase for phase in schedule["phases"] if phase["start_date"] == schedule["current_phase"]["start_date"])
    subscriptions.update_schedule(
        schedule["id"],
        key=row.pk,
        end_behavior="release",
        proration_behavior="none",
        phases=[
            _phase(present) | discounts | {"start_date": present["start_date"], "end_date": schedule["current_phase"]["end_date"]},
            discounts
            | {
                "items": _next_items(target, present),
                "proration_behavior": "none",
                "duration": {"interval": target.price.interval, "interval_count": 1},
            },
        ],
    )


@contextmanager
def set_aside(target: Target, row: BillingAction) -> Iterator[None]:
    """Release the planned change, for beneath a schedule Stripe changes nothing at once. If the block is refused, it is planned again."""
    if target.state.schedule_id:
        # Noted first: taken up again after a lost answer, the wish still knows what to put back.
        row.released_schedule = target.state.schedule_id
        row.save(update_fields=["released_schedule"])
        subscriptions.release_schedule(target.state.schedule_id, key=f"{row.pk}-release")
    try:
        yield
    except (PaymentRequired, StripeRejected) as refusal:
        if row.released_schedule and not _put_back(target, row) and isinstance(refusal, PaymentRequired):
            message = f"{refusal.text} The change that was planned could not be kept: plan it again."
            raise PaymentRequired(message, **refusal.details) from refusal
        raise


def _put_back(target: Target, row: BillingAction) -> bool:
    try:
        released = subscriptions.retrieve_schedule(row.released_schedule)
        coming = [phase for phase in released["phases"] if at(phase["start_date"]) > target.at]
        if not coming:
            return True  # It was in its last phase: what was planned has happened.
        schedule = subscriptions.schedule_from(target.state.stripe_subscription_id, key=f"{row.pk}-again")
        present = schedule["phases"][0]
        subscriptions.update_schedule(
            schedule["id"],
            key=f"{row.pk}-restore",
            end_behavior=released["end_behavior"],
            proration_behavior="none",
            phases=[
                _phase(present) | {"start_date": present["start_date"], "end_date": coming[0]["start_date"]},
                *(_phase(phase) | {"end_date": phase["end_date"]} for phase in coming),
            ],
        )
    except (StripeRejected, StripeUnavailable) as error:
        log.error("billing.planned_change_lost", organization=str(row.organization_id), schedule=row.released_schedule, reason=str(error))
        return False
    return True


def _phase(phase: dict[str, Any]) -> dict[str, Any]:
    """What a phase is, in the words that set it. What is not repeated would be lost."""
    kept: dict[str, Any] = {"items": [_item(item) for item in phase["items"]], "proration_behavior": "none"}
    discounts = [each["discount"] for each in phase.get("discounts") or [] if each.get("discount")]
    return kept | ({"discounts": [{"discount": each} for each in discounts]} if discounts else {})


def _item(item: dict[str, Any]) -> dict[str, Any]:
    return {"price": item["price"]} | ({"quantity": item["quantity"]} if item.get("quantity") else {})


def _next_items(target: Target, present: dict[str, Any]) -> list[dict[str, Any]]:
    """The plan's item at its new price; a metered one stays where the new plan sells beyond its allowance, too."""
    wanted: list[dict[str, Any]] = [{"price": target.price.stripe_price_id, "quantity": 1}]
    if target.state.overage_item_id and not target.drops_overage:
        wanted += [_item(item) for item in present["items"] if item["price"] != target.state.stripe_price_id]
    return wanted
