"""The purchase of a plan: the page with its price and a promotion code, Checkout at Stripe, and the return from it."""

from urllib.parse import urlencode

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from accounts.selectors import has_confirmed_email
from accounts.types import Caller
from billing.errors import AlreadySubscribed, PromotionCodeRefused, TrialAlreadyUsed
from billing.manager import BillingManager
from billing.types import PromotionEffect
from contextmcp.common.errors import DomainError
from contextmcp.common.formatting import format_day
from contextmcp.common.money import format_amount
from contextmcp.web import drafts, pricing
from contextmcp.web.amount_texts import price_per_interval
from contextmcp.web.billing_forms import CheckoutForm, PlanForm
from contextmcp.web.decorators import member_action, member_page, user_message
from contextmcp.web.forms import valid
from contextmcp.web.organization_state import organization_state


@require_safe
def confirm_plan(request: WSGIRequest) -> HttpResponseBase:
    """Show the plan that was chosen on the pricing page, with a button to Checkout. Anonymous users sign up first."""
    if not request.user.is_authenticated:
        return redirect(f"{reverse('account_signup')}?{urlencode({'next': request.get_full_path()})}")
    return _selected_price(request)


@member_page
def _selected_price(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    choice = PlanForm(request.GET)
    if not choice.is_valid():
        return redirect("pricing")
    plan = choice.cleaned_data["plan"]
    card = next((card for card in pricing.cards() if card.plan.name == plan and card.prices), None)
    price = card.price(choice.cleaned_data["interval"]) if card else None
    if card is None or price is None:
        return redirect("pricing")
    subscription = organization_state(request, caller).subscription
    can_pay = "billing:manage" in caller.permissions
    form = drafts.bind_form(request, caller, "checkout", CheckoutForm, CheckoutForm())
    effect = None
    if can_pay and not subscription.is_live and (code := request.GET.get("promotion_code", "").strip()):
        form = CheckoutForm({"plan": plan, "interval": price.interval, "promotion_code": code})
        effect = _effect(request, caller, form)
    context = {
        "card": card,
        "price": price,
        "subscription": subscription,
        "can_pay": can_pay,
        "email_confirmed": caller.user is None or has_confirmed_email(caller.user),
        "configured": BillingManager.is_configured(),
        "form": form,
        "effect": effect,
        "effect_text": effect_text(effect) if effect else "",
        "trial_days": card.plan.trial_days if subscription.trial_available else 0,
    }
    return render(request, "web/confirm_plan.html", context)


def _effect(request: WSGIRequest, caller: Caller, form: CheckoutForm) -> PromotionEffect | None:
    """Return the effect of the form's promotion code. If it cannot be used, the form has the error."""
    if not form.is_valid():
        return None
    data = form.cleaned_data
    try:
        return BillingManager(caller.organization).promotion_effect(data["plan"], data["interval"], data["promotion_code"], caller)
    except PromotionCodeRefused as refusal:
        form.add_error("promotion_code", refusal.shown)
    except DomainError as refusal:
        messages.error(request, user_message(refusal), extra_tags=refusal.code)
    return None


def effect_text(effect: PromotionEffect) -> str:
    """Return the price with a promotion code, and for how long it applies."""
    terms: dict[str, object] = {
        "price": price_per_interval(effect.discounted_amount, effect.currency, effect.interval),
        "amount": format_amount(effect.discounted_amount, effect.currency),
        "regular": price_per_interval(effect.amount, effect.currency, effect.interval),
    }
    if effect.payments is None:
        return _("%(price)s instead of %(regular)s, for as long as you subscribe.") % terms
    terms["count"] = effect.payments
    if effect.interval == "year":
        text = ngettext(
            "%(amount)s for the first year, then %(regular)s.",
            "%(amount)s per year for %(count)s years, then %(regular)s.",
            effect.payments,
        )
    else:
        text = ngettext(
            "%(amount)s for the first month, then %(regular)s.",
            "%(amount)s per month for %(count)s months, then %(regular)s.",
            effect.payments,
        )
    return text % terms


def _checkout_step(request: HttpRequest) -> str:
    """Return the URL of the chosen plan's page, or of the pricing page if the form names no valid plan."""
    form = PlanForm(request.POST)
    return f"{reverse('choose-plan')}?{urlencode(form.cleaned_data)}" if form.is_valid() else reverse("pricing")


@member_action(_checkout_step, form="checkout", keeps=("plan", "interval", "promotion_code"))
def checkout(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    caller.require(scope="billing:write", permission="billing:manage")
    data = valid(CheckoutForm(request.POST))
    try:
        session = BillingManager(caller.organization).create_checkout(data["plan"], data["interval"], data["promotion_code"], caller)
    except AlreadySubscribed:
        messages.info(request, _("You already have a subscription. Change its plan here."))
        return redirect("billing")
    return redirect(session.url)


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
        messages.info(request, _("Checkout was not completed. You were not charged."))
        return redirect("pricing")
    subscription, plan = state.subscription, {"plan": state.entitlements.plan_title}
    if subscription.status == "trialing" and subscription.trial_end:
        charged = plan | {"date": format_day(subscription.trial_end)}
        text = _("Your %(plan)s trial has started. Your payment method will be charged on %(date)s unless you cancel first.")
        messages.success(request, text % charged)
    else:
        messages.success(request, _("Thank you. You are now on %(plan)s.") % plan)
    return redirect("account")
