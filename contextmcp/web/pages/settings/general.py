"""The page with the organization's name, billing address and ID."""

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from accounts.manager import AuthManager
from accounts.types import Caller
from contextmcp.web import drafts
from contextmcp.web.decorators import member_action, member_page
from contextmcp.web.forms import SettingsForm, valid


@member_page
def general(request: WSGIRequest, caller: Caller) -> HttpResponse:
    organization = caller.organization
    unbound = SettingsForm(initial={"name": organization.name, "email": organization.email})
    assert caller.user is not None
    context = {
        "form": drafts.bind_form(request, caller, "settings", SettingsForm, unbound),
        "closed": AuthManager.organizations_of(caller.user, closed=True),
    }
    return render(request, "web/settings/general.html", context)


@member_action("settings", form="settings", keeps=("name", "email"))
def save_general(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    data = valid(SettingsForm(request.POST))
    AuthManager(caller.organization).update(caller, name=data["name"], email=data["email"])
    messages.success(request, gettext("Settings saved."))
    return redirect("settings")
