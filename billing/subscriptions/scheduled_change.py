"""Plan changes at the end of the billing period, as subscription schedules at Stripe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from accounts.models import Organization
from billing import operator_alerts
from billing.catalog import prices
from billing.customer_locks import serialized
from billing.documents import schedule_phases
from billing.documents.stripe_documents import Prices, at
from billing.errors import PaymentRequired, StripeRejected, StripeUnavailable
from billing.idempotent_actions import idempotent_action
from billing.models import BillingAction
from billing.selectors import current_subscription
from billing.stripe.gateway import subscriptions
from billing.sync.customer import sync_customer

from .resolve_plan_change import PlanChange


def schedule_change(target: PlanChange, row: BillingAction) -> None:
    """Schedule the change for the end of the paid period, replacing an earlier scheduled change."""
    subscription = subscriptions.retrieve(target.state.stripe_subscription_id) or {}
    schedule = subscription.get("schedule")
    if not schedule:
        schedule = subscriptions.schedule_from(target.state.stripe_subscription_id, key=f"{row.pk}-schedule")
    keeps = bool(target.state.overage_item_id) and not target.drops_overage
    known = prices.price_index()
    phase = schedule_phases.next_phase(subscription, target.price.stripe_price_id, known, keeps_metered=keeps)
    _write(schedule, subscription, [phase | _for_one(target.price.interval)], known, key=row.pk)


def carry_over(organization: Organization) -> None:
    """Run `align_schedule` within `serialized`."""
    with serialized(organization.pk):
        align_schedule(organization)


def align_schedule(organization: Organization) -> bool:
    """Update the scheduled phases with changes that were made to the subscription after the change was scheduled.

    Otherwise overage, discounts, quantities and payment methods would be lost when the phase starts. Free days move the phase to the new
    end of the paid period. Call it within `serialized`. Returns whether the schedule was updated.
    """
    state = current_subscription(organization)
    if state is None or not state.is_live or not state.schedule_id:
        return False
    subscription, known = subscriptions.retrieve(state.stripe_subscription_id), prices.price_index()
    if subscription is None or not schedule_phases.is_outdated(subscription, known):
        return False
    schedule = subscription["schedule"]
    phases = []
    for phase in schedule_phases.upcoming_phases(schedule):
        price_id = schedule_phases.planned_price(phase, known)
        updated = _phase(phase) | {"end_date": phase["end_date"]}
        if price_id:
            updated = schedule_phases.next_phase(subscription, price_id, known, keeps_metered=schedule_phases.has_overage(phase, known))
            updated |= _for_one(known[price_id].interval)
        phases.append(updated)
    with idempotent_action(organization, "align_planned_change", None, schedule=schedule["id"]) as row:
        _write(schedule, subscription, phases, known, key=row.pk)
    sync_customer(state.stripe_customer_id)
    return True


def _for_one(interval: str) -> dict[str, Any]:
    """Return the duration of one period, after which the schedule releases the subscription."""
    return {"duration": {"interval": interval, "interval_count": 1}}


def _write(schedule: dict[str, Any], subscription: dict[str, Any], upcoming: list[dict[str, Any]], known: Prices, *, key: object) -> None:
    subscriptions.update_schedule(
        schedule["id"],
        key=key,
        end_behavior="release",
        proration_behavior="none",
        default_settings=schedule_phases.settings(subscription),
        metadata=schedule_phases.MARK,
        phases=[schedule_phases.current_phase(subscription, schedule, known), *upcoming],
    )


@contextmanager
def released_schedule(target: PlanChange, row: BillingAction) -> Iterator[None]:
    """Release the subscription's schedule during the block, because Stripe does not apply immediate changes while one is attached.

    The schedule is restored if the block's change is declined or rejected.
    """
    if target.state.schedule_id:
        # The schedule is stored before the call, so that an action that is resumed after a lost response can still restore it.
        row.released_schedule_id = target.state.schedule_id
        row.save(update_fields=["released_schedule_id"])
        subscriptions.release_schedule(target.state.schedule_id, key=f"{row.pk}-release")
    try:
        yield
    except (PaymentRequired, StripeRejected) as refusal:
        if row.released_schedule_id and not _restore_schedule(target, row) and isinstance(refusal, PaymentRequired):
            message = f"{refusal.text} The previously scheduled plan change could not be restored. Schedule it again."
            raise PaymentRequired(message, **refusal.details) from refusal
        raise


def _restore_schedule(target: PlanChange, row: BillingAction) -> bool:
    try:
        released = subscriptions.retrieve_schedule(row.released_schedule_id)
        upcoming = [phase for phase in released["phases"] if at(phase["start_date"]) > target.at]
        if not upcoming:
            return True  # The schedule was in its last phase, so its change has already been applied.
        subscription = subscriptions.retrieve(target.state.stripe_subscription_id) or {}
        schedule = subscriptions.schedule_from(target.state.stripe_subscription_id, key=f"{row.pk}-again")
        current = schedule["phases"][0]
        subscriptions.update_schedule(
            schedule["id"],
            key=f"{row.pk}-restore",
            end_behavior=released["end_behavior"],
            proration_behavior="none",
            default_settings=schedule_phases.settings(subscription),
            metadata=released["metadata"],
            phases=[
                _phase(current) | {"start_date": current["start_date"], "end_date": upcoming[0]["start_date"]},
                *(_phase(phase) | {"end_date": phase["end_date"]} for phase in upcoming),
            ],
        )
    except (StripeRejected, StripeUnavailable) as error:
        operator_alerts.raise_alert(operator_alerts.PLANNED_CHANGE_LOST, row.organization, schedule=row.released_schedule_id, reason=error)
        return False
    return True


def _phase(phase: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that repeat a phase. Stripe removes what an update does not repeat."""
    params: dict[str, Any] = {"items": [schedule_phases.row(item) for item in phase["items"]], "proration_behavior": "none"}
    discounts = [each["discount"] for each in phase.get("discounts") or [] if each.get("discount")]
    return params | ({"discounts": [{"discount": each} for each in discounts]} if discounts else {})
