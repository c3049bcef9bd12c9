"""The organization's plan and what happens to it next: one sentence and a label, for every page that shows the plan."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.utils.translation import gettext as _

from billing.types import Subscription
from contextmcp.common.clock import now
from contextmcp.common.formatting import format_day
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG
from entitlements.types import Source

from .amount_texts import price_per_interval
from .organization_state import OrganizationState

# How long the page says that a subscription ended.
ENDED_VISIBLE_FOR = timedelta(days=60)
Tone = Literal["", "ok", "warn", "bad"]


@dataclass(frozen=True)
class PlanStatus:
    """`label` is a word or two in the color of `tone`. `note` is a second sentence, about a plan beside the subscription."""

    label: str
    tone: Tone
    sentence: str
    note: str = ""


def plan_status(state: OrganizationState) -> PlanStatus:
    """Return the status. The most urgent condition determines the sentence."""
    if not state.subscription.is_live:
        return _lapsed(state) or _without_subscription(state)
    for condition in (_lapsed, _payment_missing, _not_started, _ending, _awaiting_confirmation, _changing, _collection_paused):
        if status := condition(state):
            return status
    return _continuing(state)


def _lapsed(state: OrganizationState) -> PlanStatus | None:
    over = state.dunning is not None and state.dunning.stage == "over"
    lapsed = state.entitlements.lapsed_plan or (state.subscription.subscribed_plan if over else None)
    if not lapsed:
        return None
    terms = {"plan": CATALOG.plan_title(lapsed)}
    if state.dunning and state.dunning.amount:
        terms |= _due(state)
        text = _("Your %(plan)s subscription is paused until the open invoice of %(amount)s is paid.") % terms
    else:
        text = _("Your %(plan)s subscription is paused until the open invoice is paid.") % terms
    gift = state.entitlements.source not in (Source.SUBSCRIPTION, Source.FREE)
    return PlanStatus(_("Paused"), "bad", text, _complimentary(state) if gift else "")


def _due(state: OrganizationState) -> dict[str, str]:
    assert state.dunning is not None
    return {"amount": format_amount(state.dunning.amount or 0, state.dunning.currency or CATALOG.currency)}


def _without_subscription(state: OrganizationState) -> PlanStatus:
    entitlements, subscription = state.entitlements, state.subscription
    terms = {"plan": entitlements.plan_title}
    if entitlements.source is not Source.FREE:
        label = _("Active") if entitlements.plan in CATALOG.contacts else _("Complimentary")
        return PlanStatus(label, "ok", _complimentary(state))
    ended = subscription.ended_at
    if ended and subscription.subscribed_plan and now(state.organization) - ended < ENDED_VISIBLE_FOR:
        terms |= {"former": CATALOG.plan_title(subscription.subscribed_plan), "date": format_day(ended)}
        text = _("Your %(former)s subscription ended on %(date)s, and you are now on %(plan)s at no charge.") % terms
        return PlanStatus(entitlements.plan_title, "", text)
    resets_at = next((each.resets_at for each in state.usage if CATALOG.main_meter and each.feature == CATALOG.main_meter.name), None)
    if resets_at is None or CATALOG.main_meter is None:
        return PlanStatus(entitlements.plan_title, "", _("You're on %(plan)s at no charge.") % terms)
    terms |= {"feature": CATALOG.main_meter.plural_noun, "date": format_day(resets_at)}
    return PlanStatus(entitlements.plan_title, "", _("You're on %(plan)s at no charge, and your %(feature)s reset on %(date)s.") % terms)


def _complimentary(state: OrganizationState) -> str:
    """Return the sentence about a plan that staff gave."""
    terms = {"plan": state.entitlements.plan_title}
    by_agreement = state.entitlements.plan in CATALOG.contacts
    if state.next_plan is None:
        agreed, given = _("%(plan)s is provided by agreement, without an end date."), _("%(plan)s is complimentary and has no end date.")
        return (agreed if by_agreement else given) % terms
    moment, following = state.next_plan
    terms |= {"date": format_day(moment), "next": following.plan_title}
    if by_agreement:
        return _("%(plan)s is provided by agreement until %(date)s, when you move to %(next)s.") % terms
    if state.entitlements.source is Source.TRIAL:
        return _("Your %(plan)s trial ends on %(date)s without a charge, and you then move to %(next)s.") % terms
    return _("%(plan)s is complimentary until %(date)s, when you move to %(next)s.") % terms


def _payment_missing(state: OrganizationState) -> PlanStatus | None:
    dunning, ends = state.dunning, state.subscription.cancel_at
    if dunning is None or (ends and ends <= dunning.until):
        return None
    terms = {"plan": _title(state.subscription), "date": format_day(dunning.until)}
    if dunning.amount:
        text = _("Pay the open invoice of %(amount)s by %(date)s to keep %(plan)s.") % (terms | _due(state))
    else:
        text = _("Pay the open invoice by %(date)s to keep %(plan)s.") % terms
    return PlanStatus(_("Payment due"), "bad", text)


def _not_started(state: OrganizationState) -> PlanStatus | None:
    plan = {"plan": _title(state.subscription)}
    if state.subscription.status == "incomplete":
        return PlanStatus(_("Incomplete"), "warn", _("Your %(plan)s subscription starts once its first payment is complete.") % plan)
    if state.subscription.status == "paused":
        text = _("Your %(plan)s subscription is paused because its trial ended without a payment method.") % plan
        return PlanStatus(_("Paused"), "warn", text)
    return None


def _ending(state: OrganizationState) -> PlanStatus | None:
    subscription = state.subscription
    if subscription.cancel_at is None:
        return None
    plan, ends = _title(subscription), subscription.cancel_at
    following = state.next_plan[1].plan_title if state.next_plan else CATALOG.free.title
    terms = {"plan": plan, "date": format_day(ends), "next": following}
    if state.entitlements.plan != subscription.subscribed_plan:
        # Staff gave another plan, which may continue.
        text = _("Your %(plan)s subscription is canceled and ends on %(date)s.") % terms
    elif state.next_plan is None:
        text = _("Your %(plan)s subscription is canceled and ends on %(date)s, and you keep %(plan)s free of charge.") % terms
    elif subscription.on_trial and subscription.trial_end and ends <= subscription.trial_end:
        text = _("Your %(plan)s trial ends on %(date)s without a charge, and you then move to %(next)s.") % terms
    else:
        text = _("%(plan)s is canceled and stays active until %(date)s, when you move to %(next)s.") % terms
    return PlanStatus(_("Canceled"), "warn", text, _gift(state))


def _awaiting_confirmation(state: OrganizationState) -> PlanStatus | None:
    change = state.subscription.pending_change
    if change is None:
        return None
    terms = {"plan": CATALOG.plan_title(change.plan), "date": format_day(change.expires_at)}
    if change.amount is None:
        text = _("Confirm the payment by %(date)s to change to %(plan)s.") % terms
    else:
        terms |= {"amount": format_amount(change.amount, change.currency)}
        text = _("Confirm the payment of %(amount)s by %(date)s to change to %(plan)s.") % terms
    return PlanStatus(_("Confirm payment"), "warn", text, _gift(state))


def _changing(state: OrganizationState) -> PlanStatus | None:
    subscription, change = state.subscription, state.subscription.upcoming_change
    if change is None or change.kind != "plan":
        return None
    price = change.amount if change.discounted_amount is None else change.discounted_amount
    terms = {"plan": _title(subscription), "next": CATALOG.plan_title(change.plan), "date": format_day(change.at)}
    terms["price"] = _price(change.amount, price, subscription.currency, change.interval)
    if change.plan != subscription.subscribed_plan:
        text = _("Your plan changes from %(plan)s to %(next)s on %(date)s, at %(price)s.") % terms
    elif change.interval == "year":
        text = _("%(plan)s switches to yearly billing on %(date)s, at %(price)s.") % terms
    else:
        text = _("%(plan)s switches to monthly billing on %(date)s, at %(price)s.") % terms
    return PlanStatus(_("Active"), "ok", text, _gift(state))


def _collection_paused(state: OrganizationState) -> PlanStatus | None:
    pause = state.subscription.collection_pause
    if pause is None:
        return None
    terms = {"plan": _title(state.subscription)}
    if pause.resumes_at is None:
        text = _("Payments are paused, and %(plan)s stays active.") % terms
    else:
        terms |= {"date": format_day(pause.resumes_at)}
        text = _("Payments are paused until %(date)s, and %(plan)s stays active.") % terms
    return PlanStatus(_("Payments paused"), "warn", text, _gift(state))


def _continuing(state: OrganizationState) -> PlanStatus:
    subscription = state.subscription
    moment = subscription.next_charge_at
    price = _price(subscription.amount, subscription.discounted_amount, subscription.currency, subscription.interval)
    terms = {"plan": _title(subscription), "price": price, "date": format_day(moment) if moment else ""}
    label: str = _("Trial") if subscription.on_trial else _("Active")
    if moment is None:
        text = _("%(plan)s is active.") % terms
    elif subscription.on_trial and subscription.payment_method is None:
        text = _("Your %(plan)s trial ends on %(date)s; add a payment method before then to keep %(plan)s.") % terms
    elif not price:
        text = _("%(plan)s renews on %(date)s.") % terms
    elif subscription.on_trial:
        text = _("Your %(plan)s trial is free until %(date)s, then %(price)s unless you cancel first.") % terms
    elif subscription.has_free_days:
        text = _("%(plan)s is free until %(date)s, then %(price)s.") % terms
    else:
        text = _("%(plan)s renews on %(date)s at %(price)s.") % terms
    return PlanStatus(label, "ok", text, _gift(state))


def _gift(state: OrganizationState) -> str:
    """Return a sentence about a plan that staff gave and that replaces the subscribed one."""
    entitlements, subscribed = state.entitlements, state.subscription.subscribed_plan
    if entitlements.source in (Source.SUBSCRIPTION, Source.FREE) or entitlements.plan == subscribed:
        return ""
    return _complimentary(state)


def _title(subscription: Subscription) -> str:
    """Return the title of the subscribed plan, or the product's name if the price is unknown here."""
    return CATALOG.plan_title(subscription.subscribed_plan) if subscription.subscribed_plan else str(settings.PRODUCT_NAME)


def _price(amount: int | None, discounted: int | None, currency: str | None, interval: str | None) -> str:
    """Return the price of the next period, before tax. A discount may end after that period, so its price is not per interval."""
    if amount is None:
        return ""
    if discounted is not None and discounted != amount:
        return _("%(amount)s after your discount") % {"amount": format_amount(discounted, currency or CATALOG.currency)}
    return price_per_interval(amount, currency or CATALOG.currency, interval)


def price_title(state: OrganizationState) -> str:
    """Return the regular price of the current plan, such as "$9.00 per month".

    It is empty if there is none, it is unknown, or the current plan is not the subscribed one.
    """
    subscription = state.subscription
    if not subscription.is_live or subscription.amount is None or subscription.subscribed_plan != state.entitlements.plan:
        return ""
    return price_per_interval(subscription.amount, subscription.currency or CATALOG.currency, subscription.interval)


def ends_at(state: OrganizationState) -> datetime | None:
    """Return when a cancellation would end the subscription: at the end of the trial or of the paid period."""
    subscription = state.subscription
    return subscription.trial_end if subscription.status == "trialing" else subscription.current_period_end
