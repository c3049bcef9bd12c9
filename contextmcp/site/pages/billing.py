"""Paying: to Stripe's Checkout and portal, and back from them."""

from urllib.parse import urlencode

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.formats import date_format
from django.views.decorators.http import require_safe

from accounts.types import Caller
from billing.errors import AlreadySubscribed
from billing.manager import BillingManager
from contextmcp.common.errors import DomainError
from contextmcp.site import pricing
from contextmcp.site.forms import ChangeForm, CheckoutForm, OverageForm, valid
from contextmcp.site.people import action, page, sentence

INVOICES = 24


@page
def billing(request: WSGIRequest, me: Caller) -> HttpResponse:
    me.require(scope="billing:read")
    manager = BillingManager(me.organization)
    subscription = manager.subscription()
    context = {
        "subscription": subscription,
        "dunning": manager.dunning(),
        "over_limits": manager.over_limits(),
        "invoices": manager.invoices()[:INVOICES],
        "configured": manager.is_configured(),
        "can_pay": "billing:manage" in me.permissions,
        "choices": pricing.choices(subscription),
        "overage_form": OverageForm.of(subscription.overage) if subscription.overage else None,
    }
    return render(request, "site/billing.html", context)


@require_safe
def choose(request: WSGIRequest) -> HttpResponseBase:
    """What somebody chose on the pricing page before they signed in or up: one button from Checkout."""
    if not request.user.is_authenticated:
        return redirect(f"{reverse('account_signup')}?{urlencode({'next': request.get_full_path()})}")
    return _chosen(request)


@page
def _chosen(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    form = CheckoutForm(request.GET)
    if not form.is_valid():
        return redirect("pricing")
    card = next((card for card in pricing.cards() if card.plan.name == form.cleaned_data["plan"] and not card.is_free), None)
    if card is None:
        return redirect("pricing")
    yearly = form.cleaned_data["interval"] == "year"
    context = {
        "card": card,
        "interval": form.cleaned_data["interval"],
        "price": card.yearly if yearly else card.monthly,
        "subscription": BillingManager(me.organization).subscription(),
        "can_pay": "billing:manage" in me.permissions,
    }
    return render(request, "site/choose.html", context)


@action("pricing")
def checkout(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    me.require(scope="billing:write", permission="billing:manage")
    given = valid(CheckoutForm(request.POST))
    try:
        session = BillingManager(me.organization).create_checkout(given["plan"], given["interval"], given["promotion_code"], me)
    except AlreadySubscribed:
        messages.info(request, "You have a subscription already. Change it here.")
        return redirect("billing")
    return redirect(session.url)


@action("billing")
def portal(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    me.require(scope="billing:write", permission="billing:manage")
    return redirect(BillingManager(me.organization).create_portal(me))


@page
def returned(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    """From Checkout. What the page says next is Stripe's present truth, not what the address claims."""
    me.require(scope="billing:read")
    session_id = request.GET.get("session_id", "")
    if not 1 <= len(session_id) <= 255 or not session_id.isprintable():
        return redirect("billing")
    if BillingManager(me.organization).return_from_checkout(session_id):
        messages.success(request, "Thank you. Your plan is active.")
        return redirect("account")
    messages.info(request, "The payment is not complete. Nothing was charged.")
    return redirect("pricing")


@page
def preview(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    """What a change costs, to the cent, and the button that makes it."""
    me.require(scope="billing:write", permission="billing:manage")
    form = CheckoutForm(request.GET)
    if not form.is_valid():
        return redirect("billing")
    manager = BillingManager(me.organization)
    try:
        found = manager.preview_change(form.cleaned_data["plan"], form.cleaned_data["interval"])
    except DomainError as refusal:
        messages.error(request, sentence(refusal))
        return redirect("billing")
    title = next((card.plan.title for card in pricing.cards() if card.plan.name == found.plan), found.plan)
    return render(request, "site/change.html", {"preview": found, "title": title, "subscription": manager.subscription()})


@action("billing")
def change(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    me.require(scope="billing:write", permission="billing:manage")
    given = valid(ChangeForm(request.POST))
    state = BillingManager(me.organization).change_plan(given["plan"], given["interval"], given["proration_date"], me)
    waits = state.upcoming_change
    messages.success(request, "It changes at the end of what is paid." if waits and waits.kind == "plan" else "Your plan has changed.")
    return redirect("billing")


@action("billing")
def keep_plan(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    me.require(scope="billing:write", permission="billing:manage")
    BillingManager(me.organization).keep_plan(me)
    messages.success(request, "You keep your plan.")
    return redirect("billing")


@action("billing")
def cancel(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    me.require(scope="billing:write", permission="billing:manage")
    state = BillingManager(me.organization).cancel(me)
    messages.success(request, f"Cancelled. You keep the plan until {date_format(state.cancel_at)}." if state.cancel_at else "Cancelled.")
    return redirect("billing")


@action("billing")
def resume(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    me.require(scope="billing:write", permission="billing:manage")
    BillingManager(me.organization).resume(me)
    messages.success(request, "Welcome back. Your plan goes on.")
    return redirect("billing")


@action("billing")
def overage(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    me.require(scope="billing:write", permission="billing:manage")
    manager = BillingManager(me.organization)
    sold = manager.subscription().overage
    enabled = request.POST.get("enabled") == "on"
    cap = OverageForm.minor(valid(OverageForm(request.POST))["cap"], sold.currency) if enabled and sold else None
    state = manager.set_overage(enabled=enabled, cap=cap, actor=me)
    messages.success(request, "More is allowed, up to your limit." if state.enabled else "Nothing is sold beyond your plan.")
    return redirect("billing")
