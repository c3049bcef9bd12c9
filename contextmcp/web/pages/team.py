"""Pages of members and invitations, and the page of an invitation link."""

from uuid import UUID

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.adapter import SESSION_INVITATION
from accounts.authentication import SESSION_ORGANIZATION
from accounts.errors import SeatLimitReached
from accounts.manager import AuthManager
from accounts.models import User
from accounts.roles import Role
from accounts.selectors import has_confirmed_email
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError
from contextmcp.web import drafts
from contextmcp.web.decorators import error_page, member_action, member_page, user_message
from contextmcp.web.entitled_seats import entitled_seats, seat_limit
from contextmcp.web.forms import InviteForm, RoleForm, roles, valid
from contextmcp.web.organization_state import organization_state


@member_page
def team(request: WSGIRequest, caller: Caller) -> HttpResponse:
    manager = AuthManager(caller.organization)
    may_manage = "users:manage" in caller.permissions
    members = list(manager.members())
    seats = entitled_seats(organization_state(request, caller).entitlements)
    limit = seats.limit if seats else None
    present = now(caller.organization)
    invitations = list(manager.invitations()) if may_manage else []
    # An expired invitation does not use a seat unless it is resent.
    pending_invitation_count = sum(invitation.expires_at > present for invitation in invitations)
    context = {
        "members": members,
        "invitations": invitations,
        "pending_invitation_count": pending_invitation_count,
        "may_manage": may_manage,
        "may_leave": any(member.role == Role.OWNER and member.pk != caller.membership_id for member in members),
        "form": drafts.bind_form(request, caller, "invite", lambda data: InviteForm(caller, data), InviteForm(caller)),
        "roles": roles(caller),
        "limit": limit,
        "full": limit is not None and len(members) >= limit,
        "no_seats_available": limit is not None and len(members) + pending_invitation_count >= limit,
        "confirmed": may_manage and caller.user is not None and has_confirmed_email(caller.user),
        "now": present,
    }
    return render(request, "web/team.html", context)


@member_action("team", form="invite", keeps=("email", "role"), once=True)
def invite(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    data = valid(InviteForm(caller, request.POST))
    invitation = AuthManager(caller.organization).invite(caller, data["email"], data["role"])
    messages.success(request, f"Invitation sent to {invitation.email}.")
    return redirect("team")


@member_action("team")
def resend(request: WSGIRequest, caller: Caller, invitation_id: UUID) -> HttpResponseBase:
    invitation = AuthManager(caller.organization).resend_invitation(caller, invitation_id)
    messages.success(request, f"Invitation resent to {invitation.email}. The previous link no longer works.")
    return redirect("team")


@member_action("team")
def revoke(request: WSGIRequest, caller: Caller, invitation_id: UUID) -> HttpResponseBase:
    AuthManager(caller.organization).revoke_invitation(caller, invitation_id)
    messages.success(request, "Invitation revoked.")
    return redirect("team")


@member_action("team")
def change_role(request: WSGIRequest, caller: Caller, member_id: UUID) -> HttpResponseBase:
    member = AuthManager(caller.organization).change_role(caller, member_id, valid(RoleForm(request.POST))["role"])
    messages.success(request, f"{member.user} is now {Role(member.role).with_article}.")
    return redirect("team")


@member_action("team")
def remove(request: WSGIRequest, caller: Caller, member_id: UUID) -> HttpResponseBase:
    AuthManager(caller.organization).remove_member(caller, member_id)
    left = caller.membership_id == member_id
    messages.success(request, f"You left {caller.organization}." if left else "Member removed. Their API keys no longer work.")
    return redirect("home" if left else "team")


@never_cache
@require_safe
def invitation_page(request: WSGIRequest, token: str) -> HttpResponse:
    """Show an invitation. Signed-in users can accept it; anonymous users sign up or in first and return here."""
    try:
        invitation = AuthManager.find_invitation(token)
    except DomainError as refusal:
        request.session.pop(SESSION_INVITATION, None)
        return error_page(request, refusal)
    if not request.user.is_authenticated:
        request.session[SESSION_INVITATION] = token
    other = request.user.is_authenticated and request.user.email.lower() != invitation.email.lower()
    return render(request, "web/invitation.html", {"invitation": invitation, "token": token, "other_address": other})


@never_cache
def accept_invitation(request: WSGIRequest, token: str) -> HttpResponseBase:
    if request.method != "POST" or not isinstance(request.user, User):
        return redirect("invitation", token)
    try:
        organization = AuthManager.find_invitation(token).organization
        AuthManager.accept_invitation(token, request.user, seat_limit(organization))
    except SeatLimitReached as refusal:
        messages.error(request, f"{refusal.text} Ask {organization} to free a seat, then open this link again.")
        return redirect("invitation", token)
    except DomainError as refusal:
        if refusal.status == 404:
            return error_page(request, refusal)
        messages.error(request, user_message(refusal), extra_tags=refusal.code)
        return redirect("invitation", token)
    request.session.pop(SESSION_INVITATION, None)
    request.session[SESSION_ORGANIZATION] = str(organization.pk)
    messages.success(request, f"Welcome to {organization}.")
    return redirect("home")
