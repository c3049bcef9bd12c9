"""Changes of a running subscription: preview and confirmation of another plan, cancellation, pause and resumption."""

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.types import Caller
from billing.errors import PaymentConfirmationRequired
from billing.manager import BillingManager
from billing.types import ChangePreview
from contextmcp.common.errors import DomainError
from contextmcp.common.formatting import format_day
from contextmcp.web import drafts, pricing
from contextmcp.web.amount_texts import price_per_interval
from contextmcp.web.billing_forms import CancelForm, ChangeForm, PlanForm
from contextmcp.web.decorators import member_action, member_page, user_message
from contextmcp.web.forms import valid
from contextmcp.web.organization_state import OrganizationState, organization_state
from contextmcp.web.plan_buttons import change_heading
from contextmcp.web.plan_difference import over_limits_after, plan_difference
from contextmcp.web.plan_status import ends_at
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager


@member_page
def preview(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Show the cost of a plan change, what is gained and lost, and a button that confirms it."""
    caller.require(scope="billing:write", permission="billing:manage")
    form = PlanForm(request.GET)
    if not form.is_valid():
        return redirect("billing")
    manager = BillingManager(caller.organization)
    try:
        change_preview = manager.preview_change(form.cleaned_data["plan"], form.cleaned_data["interval"], caller)
    except DomainError as refusal:
        messages.error(request, user_message(refusal), extra_tags=refusal.code)
        return redirect("billing")
    state = organization_state(request, caller)
    subscription = state.subscription
    after = EntitlementsManager(caller.organization).with_subscription(change_preview.plan, change_preview.effective_at)
    context = {
        "preview": change_preview,
        "title": CATALOG.plan_title(change_preview.plan),
        "heading": change_heading(subscription, change_preview.plan, change_preview.interval),
        "next_price": price_per_interval(change_preview.next_amount, change_preview.currency, change_preview.interval),
        "subscription": subscription,
        "difference": plan_difference(state.entitlements, after),
        "over_limits": over_limits_after(state.usage, after),
        "rows": _amounts(change_preview),
        "overage_on_an_invoice": None,
    }
    new_interval = change_preview.when == "now" and change_preview.interval != subscription.interval
    if subscription.overage and subscription.overage.cap and new_interval:
        context["overage_on_an_invoice"] = 2 * subscription.overage.cap
    return render(request, "web/preview_change.html", context)


def _amounts(preview: ChangePreview) -> list[tuple[str, int]]:
    """Return the titled amounts that lead from the lines of the preview to the amount due."""
    balance = _("Credit applied") if preview.balance < 0 else _("Earlier balance")
    rows = [(_("Discount"), -preview.discount), (_("Tax"), preview.tax), (balance, preview.balance)]
    return [(title, amount) for title, amount in rows if amount]


@member_action("billing")
def change(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    data = valid(ChangeForm(request.POST))
    try:
        state = BillingManager(caller.organization).change_plan(data["plan"], data["interval"], data["proration_date"], caller)
    except PaymentConfirmationRequired as refusal:
        # The billing page shows the link for confirming the payment.
        messages.warning(request, user_message(refusal), extra_tags=refusal.code)
        return redirect("billing")
    scheduled = state.upcoming_change
    if scheduled and scheduled.kind == "plan":
        terms = {"plan": CATALOG.plan_title(scheduled.plan), "date": format_day(scheduled.at)}
        messages.success(request, _("Your plan will change to %(plan)s on %(date)s.") % terms)
    else:
        messages.success(request, _("Your plan was changed."))
    return redirect("billing")


@member_action("billing")
def cancel_scheduled_change(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    BillingManager(caller.organization).cancel_scheduled_change(caller)
    messages.success(request, _("The scheduled change was canceled."))
    return redirect("billing")


@member_page
def cancel_page(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Show what is lost with a cancellation and when, what the owner could do instead, and the form that cancels."""
    caller.require(scope="billing:write", permission="billing:manage")
    state = organization_state(request, caller)
    subscription, when = state.subscription, ends_at(state)
    if not subscription.can_cancel or when is None:
        return redirect("billing")
    after = EntitlementsManager(caller.organization).with_subscription(None, when)
    context = {
        "subscription": subscription,
        "title": CATALOG.plan_title(subscription.subscribed_plan) if subscription.subscribed_plan else state.entitlements.plan_title,
        "ends_at": when,
        "after": after,
        "difference": plan_difference(state.entitlements, after),
        "over_limits": over_limits_after(state.usage, after),
        "cheaper": _cheaper_plans(state),
        "pause": state.billing.pause_offer(),
        "form": drafts.bind_form(request, caller, "cancel", CancelForm, CancelForm()),
    }
    return render(request, "web/cancel.html", context)


def _cheaper_plans(state: OrganizationState) -> list[dict[str, object]]:
    """Return the plans below the subscribed one that are billed by the same interval, the best first."""
    present = state.subscription
    if not present.can_change or present.collection_pause:
        return []
    rank = CATALOG.rank(present.subscribed_plan)
    lower = [card for card in pricing.cards() if card.prices and CATALOG.rank(card.plan.name) < rank]
    prices = [(card, price) for card in reversed(lower) for price in card.plan.prices if price.interval == present.interval]
    return [
        {"card": card, "interval": price.interval, "price": price_per_interval(price.amount, price.currency, price.interval)}
        for card, price in prices
    ]


@member_action("cancel-plan", form="cancel", keeps=("feedback", "comment"))
def cancel(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    form = CancelForm(request.POST)
    valid(form)
    state = BillingManager(caller.organization).cancel(caller, reason=form.reason())
    if state.cancel_at:
        messages.success(
            request, _("Your subscription is canceled. You have access until %(date)s.") % {"date": format_day(state.cancel_at)}
        )
    else:
        messages.success(request, _("Your subscription is canceled."))
    return redirect("billing")


@member_action("billing")
def resume(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    BillingManager(caller.organization).resume(caller)
    messages.success(request, _("Your subscription was resumed."))
    return redirect("billing")


@member_action("cancel-plan")
def pause(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    state = BillingManager(caller.organization).pause_payments(caller)
    until = state.collection_pause.resumes_at if state.collection_pause else None
    if until:
        messages.success(request, _("Your payments are paused until %(date)s. Your plan stays active.") % {"date": format_day(until)})
    return redirect("billing")


@member_action("billing")
def resume_payments(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    BillingManager(caller.organization).resume_payments(caller)
    messages.success(request, _("Your payments were resumed."))
    return redirect("billing")
