"""The pricing page."""

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.types import Caller
from contextmcp.web import pricing
from contextmcp.web.decorators import member_of
from contextmcp.web.organization_state import organization_state
from contextmcp.web.plan_buttons import Visitor, plan_options
from contextmcp.web.structured_data import product_data


@require_safe
def pricing_page(request: WSGIRequest) -> HttpResponse:
    """Show the plans, to anonymous visitors as well. It opens on the subscriber's interval, or on the one in the URL."""
    caller = member_of(request)
    visitor = visitor_of(request, caller)
    context = {
        "options": plan_options(pricing.cards(), visitor),
        "groups": pricing.table(),
        "intervals": pricing.intervals(),
        "yearly": opens_yearly(request, visitor),
        "saving": pricing.saving(),
        "questions": pricing.questions(),
        "with_overage": pricing.titles(lambda plan: any(term.overage for term in plan.features.values())),
        "with_trial": pricing.titles(lambda plan: plan.trial_days > 0),
        "grace_days": settings.BILLING_GRACE_DAYS,
        "subscription": visitor.subscription,
        "description": pricing.description(),
        "structured_data": product_data(),
        "canonical_url": f"{settings.PUBLIC_URL}{reverse('pricing')}",
    }
    return render(request, "web/pricing.html", context)


def visitor_of(request: WSGIRequest, caller: Caller | None) -> Visitor:
    return Visitor(
        is_signed_in=request.user.is_authenticated,
        can_pay=caller is not None and "billing:manage" in caller.permissions,
        state=organization_state(request, caller) if caller else None,
    )


def opens_yearly(request: WSGIRequest, visitor: Visitor) -> bool:
    """Return whether the cards first show yearly prices."""
    present = visitor.subscription.interval if visitor.subscription else "month"
    return (request.GET.get("interval") or present) == "year"
