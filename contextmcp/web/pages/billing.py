"""Billing pages: plan, Checkout, customer portal, plan changes and overage."""

from dataclasses import asdict
from datetime import datetime
from urllib.parse import urlencode

from django.contrib import messages
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.formats import date_format
from django.views.decorators.http import require_safe

from accounts.types import Caller
from billing.errors import AlreadySubscribed, PaymentConfirmationRequired, TrialAlreadyUsed
from billing.manager import BillingManager
from billing.types import NextPayment, Subscription
from contextmcp.common.errors import DomainError
from contextmcp.common.money import format_amount
from contextmcp.web import drafts, pricing
from contextmcp.web.decorators import member_action, member_page, user_message
from contextmcp.web.forms import ChangeForm, CheckoutForm, OverageForm, valid
from contextmcp.web.organization_state import organization_state
from entitlements.catalog import CATALOG

INVOICES = 24
PREVIEW_SECONDS = 300
RETRY_SECONDS = 30  # after Stripe was unavailable
DAY = "F j, Y"


@member_page
def billing(request: WSGIRequest, caller: Caller) -> HttpResponse:
    caller.require(scope="billing:read")
    state = organization_state(request, caller)
    subscription, overage = state.subscription, state.overage
    unbound = OverageForm.of(overage.state) if overage else None
    context = {
        "subscription": subscription,
        "dunning": state.dunning,
        "next_payment": _next_payment(state.billing, subscription),
        "invoices": state.billing.invoices()[:INVOICES],
        "configured": state.billing.is_configured(),
        "can_pay": "billing:manage" in caller.permissions,
        "choices": pricing.choices(subscription),
        "overage": overage,
        "overage_form": drafts.bind_form(request, caller, "overage", OverageForm, unbound) if unbound else None,
    }
    return render(request, "web/billing.html", context)


def _next_payment(manager: BillingManager, subscription: Subscription) -> NextPayment | None:
    """Return Stripe's preview of the next invoice, cached until the next sync, at most for PREVIEW_SECONDS (inexact: RETRY_SECONDS)."""
    if not subscription.is_live or not manager.is_configured():
        return None
    synced = subscription.synced_at.isoformat() if subscription.synced_at else ""
    key = f"billing:next_payment:{manager.organization.pk}:{synced}"
    cached = cache.get(key)
    if cached is None:
        next_payment = manager.next_payment()
        # The cache stores JSON, which has no type for times.
        payment = asdict(next_payment) | {"at": next_payment.at.isoformat()} if next_payment else None
        cache.set(key, {"payment": payment}, PREVIEW_SECONDS if next_payment is None or next_payment.exact else RETRY_SECONDS)
        return next_payment
    payment = cached["payment"]
    return NextPayment(**payment | {"at": datetime.fromisoformat(payment["at"])}) if payment else None


@require_safe
def confirm_plan(request: WSGIRequest) -> HttpResponseBase:
    """Show the plan that was chosen on the pricing page, with a button to Checkout. Anonymous users sign up first."""
    if not request.user.is_authenticated:
        return redirect(f"{reverse('account_signup')}?{urlencode({'next': request.get_full_path()})}")
    return _selected_price(request)


@member_page
def _selected_price(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    form = CheckoutForm(request.GET)
    if not form.is_valid():
        return redirect("pricing")
    card = next((card for card in pricing.cards() if card.plan.name == form.cleaned_data["plan"] and not card.is_free), None)
    if card is None:
        return redirect("pricing")
    subscription = organization_state(request, caller).subscription
    context = {
        "card": card,
        "price": card.price(form.cleaned_data["interval"]),
        "subscription": subscription,
        "can_pay": "billing:manage" in caller.permissions,
        "form": drafts.bind_form(request, caller, "checkout", CheckoutForm, CheckoutForm()),
    }
    return render(request, "web/confirm_plan.html", context)


def _checkout_step(request: HttpRequest) -> str:
    """Return the URL of the chosen plan's page, or of the pricing page if the form names no valid plan."""
    form = CheckoutForm(request.POST)
    if {"plan", "interval"} & form.errors.keys():
        return reverse("pricing")
    parameters = {name: form.cleaned_data[name] for name in ("plan", "interval")}
    return f"{reverse('choose-plan')}?{urlencode(parameters)}"


@member_action(_checkout_step, form="checkout", keeps=("plan", "interval", "promotion_code"))
def checkout(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    data = valid(CheckoutForm(request.POST))
    try:
        session = BillingManager(caller.organization).create_checkout(data["plan"], data["interval"], data["promotion_code"], caller)
    except AlreadySubscribed:
        messages.info(request, "You already have a subscription. Change its plan here.")
        return redirect("billing")
    return redirect(session.url)


@member_action("billing")
def portal(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    return redirect(BillingManager(caller.organization).create_portal(caller))


@member_page
def checkout_return(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Handle the return from Checkout. The result is read from Stripe, because the URL can be forged."""
    caller.require(scope="billing:read")
    session_id = request.GET.get("session_id", "")
    if not 1 <= len(session_id) <= 255 or not session_id.isprintable():
        return redirect("billing")
    state = organization_state(request, caller)
    try:
        paid = state.billing.return_from_checkout(session_id, caller)
    except TrialAlreadyUsed as refusal:
        messages.error(request, user_message(refusal), extra_tags=refusal.code)
        return redirect("pricing")
    if not paid:
        messages.info(request, "Checkout was not completed. You were not charged.")
        return redirect("pricing")
    subscription, plan = state.subscription, state.entitlements.plan_title
    if subscription.status == "trialing" and subscription.trial_end:
        charged = date_format(subscription.trial_end, DAY)
        messages.success(request, f"Your {plan} trial has started. Your card will be charged on {charged} unless you cancel first.")
    else:
        messages.success(request, f"Thank you. You are now on {plan}.")
    return redirect("account")


@member_page
def preview(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Show the cost of a plan change and a button that confirms it."""
    caller.require(scope="billing:write", permission="billing:manage")
    form = CheckoutForm(request.GET)
    if not form.is_valid():
        return redirect("billing")
    manager = BillingManager(caller.organization)
    try:
        change_preview = manager.preview_change(form.cleaned_data["plan"], form.cleaned_data["interval"], caller)
    except DomainError as refusal:
        messages.error(request, user_message(refusal), extra_tags=refusal.code)
        return redirect("billing")
    subscription = manager.subscription()
    context = {
        "preview": change_preview,
        "title": CATALOG.plan_title(change_preview.plan),
        "subscription": subscription,
        "overage_on_an_invoice": None,
    }
    new_interval = change_preview.when == "now" and change_preview.interval != subscription.interval
    if subscription.overage and subscription.overage.cap and new_interval:
        context["overage_on_an_invoice"] = 2 * subscription.overage.cap
    return render(request, "web/preview_change.html", context)


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
        messages.success(request, f"Your plan will change to {CATALOG.plan_title(scheduled.plan)} on {date_format(scheduled.at, DAY)}.")
    else:
        messages.success(request, "Your plan was changed.")
    return redirect("billing")


@member_action("billing")
def cancel_scheduled_change(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    BillingManager(caller.organization).cancel_scheduled_change(caller)
    messages.success(request, "The scheduled change was canceled.")
    return redirect("billing")


@member_action("billing")
def cancel(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    state = BillingManager(caller.organization).cancel(caller)
    until = f" You have access until {date_format(state.cancel_at, DAY)}." if state.cancel_at else ""
    messages.success(request, f"Your subscription is canceled.{until}")
    return redirect("billing")


@member_action("billing")
def resume(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    BillingManager(caller.organization).resume(caller)
    messages.success(request, "Your subscription was resumed.")
    return redirect("billing")


@member_action("billing", form="overage", keeps=("cap",))
def overage(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    manager = BillingManager(caller.organization)
    sold = manager.subscription().overage
    enabled = request.POST.get("enabled") == "on"
    cap = OverageForm.minor(valid(OverageForm(request.POST))["cap"], sold.currency) if enabled and sold else None
    state = manager.set_overage(enabled=enabled, cap=cap, actor=caller)
    if state.enabled:
        messages.success(request, f"Overage is on, up to {format_amount(state.cap or 0, state.currency)} a month.")
    else:
        messages.success(request, "Overage is off. Requests are refused once the quota is used.")
    return redirect("billing")
