"""Pages for new users: home, first key, connection of a client, new organization."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.authentication import SESSION_ORGANIZATION
from accounts.manager import AuthManager
from accounts.models import User
from accounts.oauth.consent import pending_authorization
from accounts.types import Caller
from contextmcp.common.errors import DomainError
from contextmcp.web import drafts, mcp_config, submissions
from contextmcp.web.decorators import member_action, member_of, member_page, user_message
from contextmcp.web.forms import KeyForm, OrganizationForm, valid


@require_safe
def home(request: WSGIRequest) -> HttpResponseBase:
    """Redirect users to the app that they were connecting, their account, first key or the admin, and anonymous ones to the prices."""
    if not request.user.is_authenticated:
        return redirect("pricing")
    if (address := pending_authorization(request)) is not None:
        return redirect(address)
    caller = member_of(request)
    if caller is None:
        return redirect("admin:index" if request.user.is_staff else "new-organization")
    first = "keys:write" in caller.scopes and not AuthManager(caller.organization).keys(caller).exists()
    return redirect("welcome" if first else "account")


@member_page
def welcome(request: WSGIRequest, caller: Caller) -> HttpResponse:
    """Show the form for the first API key."""
    form = drafts.bind_form(request, caller, "first-key", lambda data: KeyForm(caller, data), KeyForm(caller))
    return render(request, "web/welcome.html", {"form": form})


@member_page
def connect(request: WSGIRequest, caller: Caller) -> HttpResponse:
    """Show what to paste into a client, and whether the member's newest key was used, to those who have copied their first key."""
    mine = AuthManager(caller.organization).keys(caller).filter(creator_id=caller.membership_id, revoked_at=None)
    key = mine.order_by("-created_at").first()
    if key is None:
        return redirect("welcome")
    return render(request, "web/connect.html", {"key": key, "clients": mcp_config.clients()})


@member_page
def first_call(request: WSGIRequest, caller: Caller, key_id: UUID) -> HttpResponse:
    """Return the part of the page that says whether the key was used. The page requests it repeatedly until the key is used."""
    key = get_object_or_404(AuthManager(caller.organization).keys(caller), pk=key_id)
    return render(request, "web/first_call.html", {"key": key})


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_organization(request: WSGIRequest) -> HttpResponseBase:
    user = request.user
    assert isinstance(user, User)
    form = OrganizationForm(request.POST if request.method == "POST" else None)

    def create() -> HttpResponseBase:
        organization = AuthManager.create_organization(user, valid(form)["name"])
        request.session[SESSION_ORGANIZATION] = str(organization.pk)
        return redirect("home")

    if request.method == "POST":
        try:
            return submissions.submit_once(request, create)
        except DomainError as refusal:
            messages.error(request, user_message(refusal), extra_tags=refusal.code)
    context = {"form": form, "closed": AuthManager.organizations_of(user, closed=True)}
    return render(request, "web/new_organization.html", context)


@member_action("account")
def switch(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Select another organization of the user for this session. The ID of any other organization is ignored."""
    assert caller.user is not None
    organization_id = request.POST.get("organization", "")
    if organization_id in {str(each.pk) for each in AuthManager.organizations_of(caller.user)}:
        request.session[SESSION_ORGANIZATION] = organization_id
    target = request.POST.get("next", "")
    return redirect(target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else "account")
