"""The account: how things stand, what was used, and the organization itself."""

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from accounts.manager import AuthManager
from accounts.selectors import team_members_count
from accounts.types import Caller
from billing.manager import BillingManager
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed
from contextmcp.site import clients
from contextmcp.site.forms import CloseForm, SettingsForm, valid
from contextmcp.site.meters import chart, meters
from contextmcp.site.pages.keys import shown_keys
from contextmcp.site.people import action, page

HOME_METERS = ("sessions", "projects", "team_members", "context_cache_mb")


@page
def account(request: WSGIRequest, me: Caller) -> HttpResponse:
    organization = me.organization
    all_meters = {meter.feature: meter for meter in meters(organization)}
    context = {
        "subscription": BillingManager(organization).subscription(),
        "meters": [all_meters[name] for name in HOME_METERS if name in all_meters],
        "keys": [row for row in shown_keys(me) if row.status == "active"][:5],
        "members": team_members_count(organization),
        "configuration": clients.configuration(),
        "now": now(organization),
    }
    return render(request, "site/account.html", context)


@page
def usage(request: WSGIRequest, me: Caller) -> HttpResponse:
    found = meters(me.organization)
    context = {
        "meters": [meter for meter in found if not meter.is_rate],
        "rates": [meter for meter in found if meter.is_rate],
        "chart": chart(me.organization, "sessions"),
    }
    return render(request, "site/usage.html", context)


@page
def settings_page(request: WSGIRequest, me: Caller) -> HttpResponse:
    organization = me.organization
    context = {
        "form": SettingsForm(initial={"name": organization.name, "email": organization.email}),
        "close_form": CloseForm(),
        "may_manage": "organization:manage" in me.permissions,
        "subscribed": BillingManager(organization).subscription().is_live,
    }
    return render(request, "site/settings.html", context)


@action("settings")
def change_settings(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    given = valid(SettingsForm(request.POST))
    AuthManager(me.organization).update(me, name=given["name"], email=given["email"])
    messages.success(request, "Saved.")
    return redirect("settings")


@action("settings")
def close(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    """Its name has to be typed, because its keys stop at once."""
    if valid(CloseForm(request.POST))["name"] != me.organization.name:
        raise ValidationFailed("That is not the name of this organization, so it was not closed.")
    AuthManager(me.organization).close(me)
    messages.success(request, f"{me.organization.name} is closed.")
    return redirect("home")
