"""Paying: to Stripe's Checkout and portal, and back from them."""

from urllib.parse import urlencode

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.types import Caller
from billing.errors import AlreadySubscribed
from billing.manager import BillingManager
from contextmcp.common.clock import now
from contextmcp.site import pricing
from contextmcp.site.forms import CheckoutForm, valid
from contextmcp.site.people import action, page


@page
def billing(request: WSGIRequest, me: Caller) -> HttpResponse:
    me.require(scope="billing:read")
    context = {
        "subscription": BillingManager(me.organization).subscription(),
        "configured": BillingManager.is_configured(),
        "can_pay": "billing:manage" in me.permissions,
        "cards": [card for card in pricing.cards() if not card.is_free],
        "now": now(me.organization),
    }
    return render(request, "site/billing.html", context)


@require_GET
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
