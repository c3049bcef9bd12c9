"""The page that closes the organization, and the page with the invoices of a closed one."""

from uuid import UUID

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from accounts.manager import AuthManager
from accounts.models import User
from accounts.types import Caller
from billing.manager import BillingManager
from contextmcp.common.errors import ValidationFailed
from contextmcp.web import closing, drafts
from contextmcp.web.decorators import member_action, member_page, user_page
from contextmcp.web.forms import CloseForm, valid
from contextmcp.web.organization_state import organization_state


@member_page
def close_page(request: WSGIRequest, caller: Caller) -> HttpResponse:
    """Say what ends and what is kept, with a form to enter the organization's name."""
    caller.require(permission="organization:manage")
    state = organization_state(request, caller)
    context = {
        "form": drafts.bind_form(request, caller, "close", CloseForm, CloseForm()),
        "ends": closing.what_ends(caller.organization),
        "subscription": state.subscription,
        "overage": state.overage,
        "open_invoices": closing.open_invoices(caller.organization),
    }
    return render(request, "web/settings/close.html", context)


@member_action("close-page", form="close", keeps=("name",))
def close(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Close the organization. Its name must be entered as a confirmation, because all keys stop working."""
    name = caller.organization.name
    if valid(CloseForm(request.POST))["name"].strip() != name:
        raise ValidationFailed.of_field("name", _("The name does not match. The organization was not closed."))
    closing.close_organization(caller)
    messages.success(
        request,
        gettext("%(organization)s was closed. Its API keys no longer work. Its invoices stay available in your other settings.")
        % {"organization": name},
    )
    return redirect("home")


@user_page
def closed_organization(request: WSGIRequest, user: User, organization_id: UUID) -> HttpResponse:
    """Show the invoices of a closed organization to members who could see them before."""
    for organization in AuthManager.organizations_of(user, closed=True):
        if organization.pk == organization_id:
            context = {"organization": organization, "invoices": BillingManager(organization).invoices()}
            return render(request, "web/closed.html", context)
    raise Http404
