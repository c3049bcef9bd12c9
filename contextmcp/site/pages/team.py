"""Members and invitations, and the page an invitation leads to."""

from uuid import UUID

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.adapter import SESSION_INVITATION
from accounts.authentication import SESSION_ORGANIZATION
from accounts.errors import SeatLimitReached
from accounts.manager import AuthManager
from accounts.models import User
from accounts.roles import Role
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError
from contextmcp.site.forms import InviteForm, RoleForm, roles, valid
from contextmcp.site.people import action, page, refused, sentence
from contextmcp.site.seats import seat_limit


@page
def team(request: WSGIRequest, me: Caller) -> HttpResponse:
    manager = AuthManager(me.organization)
    may_manage = "users:manage" in me.permissions
    members = list(manager.members())
    limit = seat_limit(me.organization)
    context = {
        "members": members,
        "invitations": list(manager.invitations()) if may_manage else [],
        "may_manage": may_manage,
        "may_leave": any(member.role == Role.OWNER and member.pk != me.membership_id for member in members),
        "form": InviteForm(me),
        "roles": roles(me),
        "limit": limit,
        "full": limit is not None and len(members) >= limit,
        "now": now(me.organization),
    }
    return render(request, "site/team.html", context)


@action("team")
def invite(request: WSGIRequest, me: Caller) -> HttpResponseBase:
    given = valid(InviteForm(me, request.POST))
    invitation = AuthManager(me.organization).invite(me, given["email"], given["role"])
    messages.success(request, f"An invitation is on its way to {invitation.email}.")
    return redirect("team")


@action("team")
def resend(request: WSGIRequest, me: Caller, invitation_id: UUID) -> HttpResponseBase:
    invitation = AuthManager(me.organization).resend_invitation(me, invitation_id)
    messages.success(request, f"Sent again to {invitation.email}. The earlier link stopped.")
    return redirect("team")


@action("team")
def revoke(request: WSGIRequest, me: Caller, invitation_id: UUID) -> HttpResponseBase:
    AuthManager(me.organization).revoke_invitation(me, invitation_id)
    messages.success(request, "The invitation is withdrawn.")
    return redirect("team")


@action("team")
def change_role(request: WSGIRequest, me: Caller, member_id: UUID) -> HttpResponseBase:
    member = AuthManager(me.organization).change_role(me, member_id, valid(RoleForm(request.POST))["role"])
    messages.success(request, f"{member.user} is {member.get_role_display().lower()} now.")
    return redirect("team")


@action("team")
def remove(request: WSGIRequest, me: Caller, member_id: UUID) -> HttpResponseBase:
    AuthManager(me.organization).remove_member(me, member_id)
    left = me.membership_id == member_id
    messages.success(request, f"You left {me.organization}." if left else "Removed. Their keys stopped.")
    return redirect("home" if left else "team")


@never_cache
@require_safe
def invitation_page(request: WSGIRequest, token: str) -> HttpResponse:
    """Shows what is offered; whoever is signed in accepts with one button, others sign up or in first and come back."""
    try:
        invitation = AuthManager.find_invitation(token)
    except DomainError as refusal:
        request.session.pop(SESSION_INVITATION, None)
        return refused(request, refusal)
    if not request.user.is_authenticated:
        request.session[SESSION_INVITATION] = token
    other = request.user.is_authenticated and request.user.email.lower() != invitation.email.lower()
    return render(request, "site/invitation.html", {"invitation": invitation, "token": token, "other_address": other})


@never_cache
@require_POST
def accept_invitation(request: WSGIRequest, token: str) -> HttpResponseBase:
    if not isinstance(request.user, User):
        return redirect("invitation", token)
    try:
        organization = AuthManager.find_invitation(token).organization
        AuthManager.accept_invitation(token, request.user, seat_limit(organization))
    except SeatLimitReached as refusal:
        messages.error(request, f"{refusal.text} Ask {organization} for a seat, then come back to this link.")
        return redirect("invitation", token)
    except DomainError as refusal:
        if refusal.status == 404:
            return refused(request, refusal)
        messages.error(request, sentence(refusal))
        return redirect("invitation", token)
    request.session.pop(SESSION_INVITATION, None)
    request.session[SESSION_ORGANIZATION] = str(organization.pk)
    messages.success(request, f"Welcome to {organization}.")
    return redirect("home")
