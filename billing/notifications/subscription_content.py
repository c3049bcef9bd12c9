"""Subject and text of the emails about trials, renewals, plan changes and cancellations."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.utils.translation import gettext as _

from billing import amounts
from billing.documents.stripe_documents import at
from billing.models import BillingNotification, SubscriptionState
from billing.selectors import upcoming_change
from billing.types import NextPayment
from contextmcp.common.emails import EmailContent
from contextmcp.common.formatting import format_day
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG

from . import schedule


def billing_page() -> str:
    """Return the address of the billing page."""
    return f"{settings.PUBLIC_URL}/account/billing/"


def plan_name(state: SubscriptionState) -> str:
    """Return the product and the plan of a subscription as one name."""
    return f"{settings.PRODUCT_NAME} {state.plan_version.terms.title}" if state.plan_version else str(settings.PRODUCT_NAME)


def named_plan(plan: str) -> str:
    """Return the product and a plan by its name."""
    return f"{settings.PRODUCT_NAME} {CATALOG.plan_title(plan)}"


def _pricing_page() -> str:
    return f"{settings.PUBLIC_URL}/pricing/"


def _state(notification: BillingNotification, **conditions: object) -> SubscriptionState | None:
    states = SubscriptionState.objects.select_related("plan_version").filter(**conditions)
    return states.filter(stripe_subscription_id=notification.object_id).first()


def _render_trial_started(notification: BillingNotification) -> EmailContent | None:
    state = _state(notification, status="trialing", cancel_at=None)
    if state is None or state.trial_end is None or not state.on_first_trial:
        return None
    values = {"plan": plan_name(state), "day": format_day(state.trial_end)}
    amount = amounts.estimated_total(state, state.trial_end)
    paragraphs = [_("You have full access to %(plan)s until %(day)s.") % values]
    if amount is not None:
        values["amount"] = format_amount(amount, state.currency)
        if state.interval == "year":
            charge = _("On that day, your payment method is charged %(amount)s per year before tax, unless you cancel before.")
        else:
            charge = _("On that day, your payment method is charged %(amount)s per month before tax, unless you cancel before.")
        paragraphs.append(charge % values)
    paragraphs.append(_("We remind you three days before the trial ends."))
    return EmailContent(
        title=_("Your trial of %(plan)s has started") % values,
        paragraphs=tuple(paragraphs),
        label=_("View billing"),
        link=billing_page(),
    )


def _render_trial_ending(notification: BillingNotification) -> EmailContent | None:
    state = _state(notification, status="trialing", cancel_at=None)
    if state is None or state.trial_end is None or state.trial_end.isoformat() != notification.transition:
        return None
    payment = amounts.next_payment(state)
    if payment is None:
        return None
    change = upcoming_change(state)
    changes = change is not None and change.kind == "plan" and change.at <= state.trial_end
    values = {
        "plan": named_plan(change.plan) if change and changes else plan_name(state),
        "day": format_day(state.trial_end),
        "amount": _amount(payment),
    }
    title = _("Your trial ends on %(day)s") if state.on_first_trial else _("Your free period ends on %(day)s")
    interval = change.interval if change and changes else state.interval
    return EmailContent(
        title=title % values,
        paragraphs=(
            _due_sentence(state.on_first_trial, interval == "year") % values,
            _("Your subscription renews automatically. If you cancel before that date, you will not be charged."),
        ),
        label=_("View billing"),
        link=billing_page(),
    )


def _due_sentence(is_first: bool, is_yearly: bool) -> str:
    if is_first and is_yearly:
        return _("Your first payment for %(plan)s is due on that date: %(amount)s for the first year.")
    if is_first:
        return _("Your first payment for %(plan)s is due on that date: %(amount)s for the first month.")
    if is_yearly:
        return _("Your next payment for %(plan)s is due on that date: %(amount)s for the next year.")
    return _("Your next payment for %(plan)s is due on that date: %(amount)s for the next month.")


def _amount(payment: NextPayment) -> str:
    """Return the amount of a payment, with what is deducted from it and added to it."""
    values = {
        "amount": format_amount(payment.amount, payment.currency),
        "discount": format_amount(payment.discount, payment.currency),
        "tax": format_amount(payment.tax, payment.currency),
    }
    if not payment.exact:
        return _("%(amount)s (before tax)") % values
    if payment.discount and payment.tax:
        return _("%(amount)s (after a discount of %(discount)s, tax of %(tax)s included)") % values
    if payment.discount:
        return _("%(amount)s (after a discount of %(discount)s)") % values
    return _("%(amount)s (tax of %(tax)s included)") % values if payment.tax else values["amount"]


def _render_renewal(notification: BillingNotification) -> EmailContent | None:
    """Return the email about the renewal of a yearly plan while nothing ends or changes the subscription before it."""
    state = _state(notification, status="active", cancel_at=None, interval="year")
    if state is None or state.current_period_end is None or state.current_period_end.isoformat() != notification.transition:
        return None
    payment = amounts.next_payment(state)
    change = upcoming_change(state)
    if payment is None or (change is not None and change.kind == "plan" and change.at <= state.current_period_end):
        return None
    values = {"plan": plan_name(state), "day": format_day(state.current_period_end), "amount": _amount(payment)}
    return EmailContent(
        title=_("Your yearly subscription renews on %(day)s") % values,
        paragraphs=(
            _("On %(day)s, %(plan)s renews for another year, and your payment method is charged %(amount)s.") % values,
            _("You do not need to do anything. If you do not want to renew, cancel before that date."),
        ),
        label=_("View billing"),
        link=billing_page(),
    )


def _render_plan_changed(notification: BillingNotification) -> EmailContent | None:
    state = _state(notification)
    plan, interval = notification.details.get("plan", ""), notification.details.get("interval", "")
    if state is None or not state.is_live or (state.plan, state.interval) != (plan, interval):
        return None
    before = notification.details.get("before", "")
    values = {"plan": plan_name(state), "before": named_plan(before)}
    if before == plan:
        sentence = _("%(plan)s is now billed yearly.") if interval == "year" else _("%(plan)s is now billed monthly.")
    else:
        sentence = _("Your organization moved from %(before)s to %(plan)s.")
    paragraphs = [sentence % values]
    amount = amounts.estimated_total(state, state.current_period_end)
    if amount is not None and state.current_period_end is not None:
        values |= {"amount": format_amount(amount, state.currency), "day": format_day(state.current_period_end)}
        if interval == "year":
            renews = _("It costs %(amount)s per year before tax. The next regular payment is due on %(day)s.")
        else:
            renews = _("It costs %(amount)s per month before tax. The next regular payment is due on %(day)s.")
        paragraphs.append(renews % values)
    return EmailContent(
        title=_("Your plan is now %(plan)s") % values, paragraphs=tuple(paragraphs), label=_("View billing"), link=billing_page()
    )


def _render_change_scheduled(notification: BillingNotification) -> EmailContent | None:
    state = _state(notification)
    change = upcoming_change(state) if state is not None and state.is_live else None
    if state is None or change is None or change.kind != "plan" or schedule.change_key(state.upcoming_change) != notification.transition:
        return None
    values = {"plan": plan_name(state), "after": named_plan(change.plan), "day": format_day(at((state.upcoming_change or {})["at"]))}
    return EmailContent(
        title=_("Your plan changes to %(after)s on %(day)s") % values,
        paragraphs=(
            _("You keep %(plan)s until %(day)s. Then your organization moves to %(after)s.") % values,
            _("You can undo the change on the billing page before then."),
        ),
        label=_("View billing"),
        link=billing_page(),
    )


def _render_canceled(notification: BillingNotification) -> EmailContent | None:
    state = _state(notification)
    if state is None or not state.is_live or state.cancel_at is None or schedule.cancellation_key(state) != notification.transition:
        return None
    values = {"plan": plan_name(state), "day": format_day(state.cancel_at), "free_plan": CATALOG.free.title}
    return EmailContent(
        title=_("Your subscription is canceled"),
        paragraphs=(
            _("You keep %(plan)s until %(day)s. You will not be charged again.") % values,
            _("After that, your organization moves to the %(free_plan)s plan. No data is deleted.") % values,
            _("If you change your mind, you can resume the subscription before then."),
        ),
        label=_("Resume subscription"),
        link=billing_page(),
    )


def _render_resumed(notification: BillingNotification) -> EmailContent | None:
    state = _state(notification, cancel_at=None)
    if state is None or not state.is_live or state.current_period_end is None:
        return None
    values = {"plan": plan_name(state), "day": format_day(state.current_period_end)}
    return EmailContent(
        title=_("Your subscription continues"),
        paragraphs=(
            _("The cancellation was undone. %(plan)s does not end.") % values,
            _("The next payment is due on %(day)s.") % values,
        ),
        label=_("View billing"),
        link=billing_page(),
    )


def _render_ended(notification: BillingNotification) -> EmailContent | None:
    state = _state(notification, status="canceled")
    if state is None:
        return None
    values = {"plan": plan_name(state), "free_plan": CATALOG.free.title}
    sentence = _(
        "Your organization is now on the %(free_plan)s plan. No data was deleted. "
        "Items above the %(free_plan)s plan's limits are read-only."
    )
    return EmailContent(
        title=_("%(plan)s has ended") % values,
        paragraphs=(sentence % values, _("You can subscribe again at any time.")),
        label=_("View plans"),
        link=_pricing_page(),
    )


def _render_trial_withheld(notification: BillingNotification) -> EmailContent | None:
    state = _state(notification, status="canceled")
    if state is None:
        return None
    return EmailContent(
        title=_("Your trial of %(plan)s did not start") % {"plan": plan_name(state)},
        paragraphs=(
            _(
                "You have already had a trial, or your payment method has already been used for one. "
                "Each person and payment method can have one trial."
            ),
            _("The subscription was canceled and nothing was charged. You can subscribe without a trial at any time."),
            _("If you believe this is a mistake, reply to this email."),
        ),
        label=_("View plans"),
        link=_pricing_page(),
    )


RENDERERS: dict[str, Callable[[BillingNotification], EmailContent | None]] = {
    "trial_started": _render_trial_started,
    "trial_ending": _render_trial_ending,
    "trial_withheld": _render_trial_withheld,
    "renewal": _render_renewal,
    "plan_changed": _render_plan_changed,
    "change_scheduled": _render_change_scheduled,
    "canceled": _render_canceled,
    "resumed": _render_resumed,
    "ended": _render_ended,
}
