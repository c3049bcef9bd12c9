"""The billing page: the plan, its next payment, the payment method, other plans, Pay-as-you-go and the latest invoices."""

from dataclasses import asdict
from datetime import datetime

from django.contrib import messages
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.types import Caller
from billing.manager import BillingManager
from billing.types import NextPayment, Subscription
from contextmcp.common.money import format_amount
from contextmcp.web import drafts, pricing
from contextmcp.web.billing_forms import OverageForm
from contextmcp.web.decorators import member_action, member_page
from contextmcp.web.forms import valid
from contextmcp.web.organization_state import organization_state
from contextmcp.web.pages.pricing import opens_yearly, visitor_of
from contextmcp.web.plan_buttons import can_change_plan, plan_options
from contextmcp.web.plan_status import price_title

LATEST_INVOICES = 3
PREVIEW_SECONDS = 300
RETRY_SECONDS = 30  # after Stripe was unavailable


@member_page
def billing(request: WSGIRequest, caller: Caller) -> HttpResponse:
    caller.require(scope="billing:read")
    state, visitor = organization_state(request, caller), visitor_of(request, caller)
    subscription, overage = state.subscription, state.overage
    configured = state.billing.is_configured()
    unbound = OverageForm.of(overage.state) if overage else None
    next_payment = _next_payment(state.billing, subscription)
    charged_at = next_payment.at if next_payment else subscription.next_charge_at
    card = subscription.payment_method
    context = {
        "subscription": subscription,
        "price": price_title(state),
        "dunning": state.dunning,
        "next_payment": next_payment,
        "charged_at": charged_at,
        "card_expires": bool(card and charged_at and card.expires_by(charged_at)),
        "details": state.billing.portal_details() if visitor.can_pay and subscription.synced_at else [],
        "invoices": state.billing.invoices()[:LATEST_INVOICES],
        "configured": configured,
        "can_pay": visitor.can_pay,
        "options": plan_options(pricing.cards(), visitor) if configured and can_change_plan(visitor) else [],
        "intervals": pricing.intervals(),
        "yearly": opens_yearly(request, visitor),
        "saving": pricing.saving(),
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


@member_action("billing")
def portal(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Open Stripe's customer portal, on its page for the payment method if the form asks for it."""
    caller.require(scope="billing:write", permission="billing:manage")
    flow = "payment_method_update" if request.POST.get("flow") == "payment_method" else ""
    return redirect(BillingManager(caller.organization).create_portal(caller, flow=flow))


@member_action("billing", form="overage", keeps=("cap",))
def overage(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    manager = BillingManager(caller.organization)
    sold = manager.subscription().overage
    enabled = request.POST.get("enabled") == "on"
    cap = OverageForm.minor(valid(OverageForm(request.POST))["cap"], sold.currency) if enabled and sold else None
    state = manager.set_overage(enabled=enabled, cap=cap, actor=caller)
    if state.enabled:
        limit = {"amount": format_amount(state.cap or 0, state.currency)}
        messages.success(request, _("Pay-as-you-go is on, up to %(amount)s per month.") % limit)
    else:
        messages.success(request, _("Pay-as-you-go is off. Requests are refused once the included usage is used up."))
    return redirect("billing")
