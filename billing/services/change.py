"""Changing the plan of a subscription: at once, or by a schedule when what is paid for is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from accounts.models import Organization
from billing.errors import NoSubscription, NothingToChange, PreviewExpired, StripeRejected
from billing.gateway import subscriptions
from billing.models import BillingAction

from . import meters, preview, schedule
from .actions import Actor, wish
from .locks import one_at_a_time
from .sync import sync_customer
from .target import Target, choose, live

# How long a preview holds. Its moment goes to Stripe, so that the invoice agrees with it to the cent.
PREVIEW_HOLDS = timedelta(minutes=15)


def change(organization: Organization, plan: str, interval: str, proration_date: datetime | None, actor: Actor) -> None:
    """Make the change, and look at what became of it. A declined payment changes nothing (`PaymentRequired`)."""
    with one_at_a_time(organization.pk):
        state = live(organization)
        # Decide on Stripe's present truth, not on what we last heard.
        sync_customer(state.stripe_customer_id)
        target = choose(organization, plan, interval)
        moment = _moment(target, proration_date)
        wanted = {"subscription": target.state.stripe_subscription_id, "price": target.price.stripe_price_id, "when": target.when}
        if moment:
            # A fresh preview is another wish: Stripe refuses a key that comes back with another date.
            wanted["proration_date"] = moment.isoformat()
        try:
            with wish(organization, "change_plan", actor, plan=plan, interval=interval, **wanted) as row:
                if target.when == "now":
                    if not target.sells_overage:
                        meters.settle(organization)
                    _at_once(target, moment, row)
                else:
                    schedule.plan(target, row)
        finally:
            # Also where the payment failed: Stripe may have tried, and says so on an invoice.
            sync_customer(state.stripe_customer_id)


def _moment(target: Target, proration_date: datetime | None) -> datetime | None:
    if proration_date is None or target.when != "now" or target.on_trial:
        return None
    start = target.state.current_period_start
    if not timedelta() <= target.at - proration_date <= PREVIEW_HOLDS or (start and proration_date < start):
        raise PreviewExpired
    return proration_date


def _at_once(target: Target, moment: datetime | None, row: BillingAction) -> None:
    with schedule.set_aside(target, row):
        subscriptions.update(
            target.state.stripe_subscription_id,
            key=row.pk,
            items=preview.items(target),
            proration_behavior="none" if target.on_trial else "always_invoice",
            payment_behavior="error_if_incomplete",
            **({"proration_date": int(moment.timestamp())} if moment else {}),
        )


def keep_plan(organization: Organization, actor: Actor) -> None:
    """Take an upcoming plan change back. Raises `NothingToChange` where none is planned."""
    with one_at_a_time(organization.pk):
        state = live(organization)
        sync_customer(state.stripe_customer_id)
        state = live(organization)
        if not state.schedule_id:
            raise NothingToChange("No change is planned.")
        with wish(organization, "keep_plan", actor, schedule=state.schedule_id) as row:
            subscriptions.release_schedule(state.schedule_id, key=row.pk)
        sync_customer(state.stripe_customer_id)


def cancel(organization: Organization, actor: Actor, *, at_once: bool) -> None:
    """Let it end with what is paid for, or end it now. Nothing is refunded by itself."""
    with one_at_a_time(organization.pk):
        # A schedule that is over or released meanwhile could not be released.
        sync_customer(live(organization).stripe_customer_id)
        state = live(organization)
        if state.cancel_at and not at_once:
            raise NothingToChange("The subscription is already about to end.")
        parameters = {"subscription": state.stripe_subscription_id, "at_once": at_once}
        with wish(organization, "cancel", actor, **parameters) as row:
            if state.schedule_id:
                subscriptions.release_schedule(state.schedule_id, key=f"{row.pk}-release")
            if at_once:
                meters.settle(organization)
            try:
                if at_once:
                    subscriptions.cancel(state.stripe_subscription_id, key=row.pk, invoice_now=bool(state.overage_item_id))
                else:
                    subscriptions.update(state.stripe_subscription_id, key=row.pk, cancel_at_period_end=True)
            except StripeRejected as error:
                sync_customer(state.stripe_customer_id)
                raise NoSubscription from error
        sync_customer(state.stripe_customer_id)


def resume(organization: Organization, actor: Actor) -> None:
    """Take a pending cancellation back, or wake a paused subscription."""
    with one_at_a_time(organization.pk):
        sync_customer(live(organization).stripe_customer_id)
        state = live(organization)
        if state.status != "paused" and not state.cancel_at:
            raise NothingToChange("The subscription is not about to end.")
        with wish(organization, "resume", actor, subscription=state.stripe_subscription_id) as row:
            if state.status == "paused":
                subscriptions.resume(state.stripe_subscription_id, key=row.pk)
            else:
                subscriptions.update(state.stripe_subscription_id, key=row.pk, **_no_cancellation(state.stripe_subscription_id))
        sync_customer(state.stripe_customer_id)


def _no_cancellation(subscription_id: str) -> dict[str, Any]:
    present = subscriptions.retrieve(subscription_id)
    # Set by date, as the dashboard can, it has to be taken back by date.
    return {"cancel_at_period_end": False} if present and present["cancel_at_period_end"] else {"cancel_at": ""}
