"""Pages of the account: overview, usage and settings."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.manager import AuthManager
from accounts.models import User
from accounts.types import Caller
from billing.manager import BillingManager
from contextmcp.common.errors import ValidationFailed
from contextmcp.web import drafts, mcp_config
from contextmcp.web.decorators import member_action, member_page
from contextmcp.web.forms import CloseForm, SettingsForm, valid
from contextmcp.web.organization_state import organization_state
from contextmcp.web.pages.keys import shown_keys
from contextmcp.web.usage_cards import home_cards, main_chart, top_tools, usage_cards


@member_page
def account(request: WSGIRequest, caller: Caller) -> HttpResponse:
    state = organization_state(request, caller)
    context = {
        "subscription": state.subscription,
        "overage": state.overage,
        "meters": home_cards(state.usage),
        "tools": top_tools(caller.organization)[:3],
        "keys": [row for row in shown_keys(caller) if row.status == "active"][:5],
        "members": state.members,
        "configuration": mcp_config.client_configuration(),
    }
    return render(request, "web/account.html", context)


@member_page
def usage(request: WSGIRequest, caller: Caller) -> HttpResponse:
    state = organization_state(request, caller)
    shown = usage_cards(state.usage)
    context = {
        "meters": [meter for meter in shown if not meter.is_rate],
        "rates": [meter for meter in shown if meter.is_rate],
        "chart": main_chart(caller.organization),
        "tools": top_tools(caller.organization),
        "overage": state.overage,
    }
    return render(request, "web/usage.html", context)


@member_page
def settings_page(request: WSGIRequest, caller: Caller) -> HttpResponse:
    organization = caller.organization
    may_manage = "organization:manage" in caller.permissions
    unbound = SettingsForm(initial={"name": organization.name, "email": organization.email})
    assert isinstance(request.user, User)
    context = {
        "form": drafts.bind_form(request, caller, "settings", SettingsForm, unbound),
        "close_form": drafts.bind_form(request, caller, "close", CloseForm, CloseForm()),
        "may_manage": may_manage,
        "subscription": organization_state(request, caller).subscription if may_manage else None,
        "closed": AuthManager.organizations_of(request.user, closed=True),
    }
    return render(request, "web/settings.html", context)


@member_action("settings", form="settings", keeps=("name", "email"))
def change_settings(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    data = valid(SettingsForm(request.POST))
    AuthManager(caller.organization).update(caller, name=data["name"], email=data["email"])
    messages.success(request, "Settings saved.")
    return redirect("settings")


@member_action("settings", form="close", keeps=("name",))
def close(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Close the organization. Its name must be entered as a confirmation, because all keys stop working."""
    if valid(CloseForm(request.POST))["name"] != caller.organization.name:
        raise ValidationFailed.of_field("name", "The name does not match. The organization was not closed.")
    AuthManager(caller.organization).close(caller)
    messages.success(
        request, f"{caller.organization.name} was closed. Its API keys no longer work. Its invoices stay available in settings."
    )
    return redirect("home")


@never_cache
@require_safe
@login_required
def closed_organization(request: WSGIRequest, organization_id: UUID) -> HttpResponse:
    """Show the invoices of a closed organization to members who could see them before."""
    assert isinstance(request.user, User)
    for organization in AuthManager.organizations_of(request.user, closed=True):
        if organization.pk == organization_id:
            context = {"organization": organization, "invoices": BillingManager(organization).invoices()}
            return render(request, "web/closed.html", context)
    raise Http404
