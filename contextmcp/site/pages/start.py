"""Where people arrive: home, pricing, the first key."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.authentication import SESSION_ORGANIZATION
from accounts.manager import AuthManager
from accounts.models import User
from accounts.types import Caller
from billing.manager import BillingManager
from contextmcp.common.errors import DomainError
from contextmcp.site import clients, pricing
from contextmcp.site.forms import KeyForm, OrganizationForm, valid
from contextmcp.site.people import action, member_of, page, sentence


@require_safe
def home(request: WSGIRequest) -> HttpResponseBase:
    """Members go to their account, or to their first key; staff to theirs; everybody else sees what there is."""
    if not request.user.is_authenticated:
        return redirect("pricing")
    me = member_of(request)
    if me is None:
        return redirect("admin:index" if request.user.is_staff else "new-organization")
    first = "keys:write" in me.scopes and not AuthManager(me.organization).keys(me).exists()
    return redirect("welcome" if first else "account")


@require_safe
def pricing_page(request: WSGIRequest) -> HttpResponse:
    me = member_of(request)
    context = {
        "cards": pricing.cards(),
        "groups": pricing.table(),
        "saving": pricing.saving(),
        "subscription": BillingManager(me.organization).subscription() if me else None,
        "can_pay": me is not None and "billing:manage" in me.permissions,
    }
    return render(request, "site/pricing.html", context)


@page
def welcome(request: WSGIRequest, me: Caller) -> HttpResponse:
    """One button from the first key."""
    return render(request, "site/welcome.html", {"form": KeyForm(me), "configuration": clients.configuration()})


@action("welcome")
def first_key(request: WSGIRequest, me: Caller) -> HttpResponse:
    form = KeyForm(me, {"name": "My first key", **request.POST.dict()})
    key, raw = AuthManager(me.organization).generate_key(me, valid(form)["name"])
    return render(request, "site/key_made.html", {"key": key, "raw": raw, **pasted(raw), "step": "welcome"})


def pasted(raw: str) -> dict[str, str]:
    """What goes with a key that has just been made."""
    return {"configuration": clients.configuration(raw), "curl": clients.curl(raw)}


@login_required
@require_http_methods(["GET", "POST"])
def new_organization(request: WSGIRequest) -> HttpResponseBase:
    form = OrganizationForm(request.POST or None)
    if request.method == "POST":
        assert isinstance(request.user, User)
        try:
            made = AuthManager.create_organization(request.user, valid(form)["name"])
        except DomainError as refusal:
            messages.error(request, sentence(refusal))
        else:
            request.session[SESSION_ORGANIZATION] = str(made.pk)
            return redirect("home")
    return render(request, "site/new_organization.html", {"form": form})


@action("account")
def switch(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    """Work in another of one's organizations. One that is not theirs changes nothing."""
    assert me.user is not None
    chosen = request.POST.get("organization", "")
    if chosen in {str(pk) for pk in me.user.organizations.filter(closed_at=None).values_list("pk", flat=True)}:
        request.session[SESSION_ORGANIZATION] = chosen
    return redirect("account")
