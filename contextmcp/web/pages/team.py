"""Pages of members and invitations, and the page of an invitation link."""

from uuid import UUID

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.adapter import SESSION_INVITATION
from accounts.authentication import SESSION_ORGANIZATION
from accounts.errors import SeatLimitReached
from accounts.manager import AuthManager
from accounts.models import User
from accounts.roles import Role
from accounts.selectors import has_confirmed_email, is_registered
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError
from contextmcp.web import drafts
from contextmcp.web.decorators import error_page, member_action, member_page, user_message
from contextmcp.web.entitled_seats import entitled_seats, seat_limit
from contextmcp.web.forms import InviteForm, RoleForm, TransferForm, roles, valid
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
        "explained_roles": [role for role in reversed(Role) if role != Role.OWNER or "organization:manage" in caller.permissions],
        "successors": [member for member in members if member.role != Role.OWNER and member.user.is_active] if _is_owner(caller) else [],
        "seats_left": max(0, limit - len(members) - pending_invitation_count) if limit is not None else None,
        "limit": limit,
        "full": limit is not None and len(members) >= limit,
        "no_seats_available": limit is not None and len(members) + pending_invitation_count >= limit,
        "confirmed": may_manage and caller.user is not None and has_confirmed_email(caller.user),
        "now": present,
    }
    return render(request, "web/team.html", context)


def _is_owner(caller: Caller) -> bool:
    return "organization:manage" in caller.permissions


@member_action("team", form="invite", keeps=("email", "role"), once=True)
def invite(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    data = valid(InviteForm(caller, request.POST))
    invitation = AuthManager(caller.organization).invite(caller, data["email"], data["role"])
    messages.success(request, _("Invitation sent to %(email)s.") % {"email": invitation.email})
    return redirect("team")


@member_action("team")
def resend(request: WSGIRequest, caller: Caller, invitation_id: UUID) -> HttpResponseBase:
    invitation = AuthManager(caller.organization).resend_invitation(caller, invitation_id)
    messages.success(request, _("Invitation resent to %(email)s. The previous link no longer works.") % {"email": invitation.email})
    return redirect("team")


@member_action("team")
def revoke(request: WSGIRequest, caller: Caller, invitation_id: UUID) -> HttpResponseBase:
    AuthManager(caller.organization).revoke_invitation(caller, invitation_id)
    messages.success(request, _("Invitation revoked."))
    return redirect("team")


@member_action("team")
def change_role(request: WSGIRequest, caller: Caller, member_id: UUID) -> HttpResponseBase:
    member = AuthManager(caller.organization).change_role(caller, member_id, valid(RoleForm(request.POST))["role"])
    values = {"member": member.user.get_full_name(), "role": Role(member.role).label}
    messages.success(request, _("%(member)s now has the role “%(role)s”.") % values)
    return redirect("team")


@member_action("team")
def transfer_ownership(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    """Make another member the owner, and the owner who asks for it an admin."""
    assert caller.membership_id is not None
    to = valid(TransferForm(request.POST))["member"]
    member = AuthManager(caller.organization).transfer_ownership(caller, caller.membership_id, to)
    values = {"member": member.user.get_full_name(), "organization": caller.organization.name}
    messages.success(request, _("%(member)s now owns %(organization)s. You are an admin.") % values)
    return redirect("team")


@member_action("team")
def remove(request: WSGIRequest, caller: Caller, member_id: UUID) -> HttpResponseBase:
    AuthManager(caller.organization).remove_member(caller, member_id)
    left = caller.membership_id == member_id
    messages.success(
        request,
        _("You left %(name)s.") % {"name": caller.organization.name} if left else _("Member removed. Their API keys no longer work."),
    )
    return redirect("home" if left else "team")


@never_cache
@require_safe
def invitation_page(request: WSGIRequest, token: str) -> HttpResponseBase:
    """Show an invitation. Signed-in users can accept it; anonymous users sign up or in first and return here."""
    try:
        invitation = AuthManager.find_invitation(token)
    except DomainError as refusal:
        request.session.pop(SESSION_INVITATION, None)
        return _used_by(request, token) or error_page(request, refusal)
    if not request.user.is_authenticated:
        request.session[SESSION_INVITATION] = token
    other = request.user.is_authenticated and request.user.email.lower() != invitation.email.lower()
    context = {
        "invitation": invitation,
        "role": Role(invitation.role),
        "token": token,
        "other_address": other,
        # Who has the link reads the mail of this address, so it may know whether there is an account.
        "has_account": is_registered(invitation.email),
    }
    return render(request, "web/invitation.html", context)


def _used_by(request: WSGIRequest, token: str) -> HttpResponseBase | None:
    """Return a redirect to the organization if the signed-in user joined it with this invitation, or None."""
    organization = AuthManager.joined_with(token, request.user) if isinstance(request.user, User) else None
    if organization is None:
        return None
    request.session[SESSION_ORGANIZATION] = str(organization.pk)
    messages.info(request, _("You are already a member of %(name)s.") % {"name": organization.name})
    return redirect("account")


@never_cache
def accept_invitation(request: WSGIRequest, token: str) -> HttpResponseBase:
    if request.method != "POST" or not isinstance(request.user, User):
        return redirect("invitation", token)
    try:
        organization = AuthManager.find_invitation(token).organization
        AuthManager.accept_invitation(token, request.user, seat_limit(organization))
    except SeatLimitReached as refusal:
        text = _("All seats of %(name)s are in use. Ask an owner or admin for a seat, then open this link again.")
        messages.error(request, text % {"name": organization.name}, extra_tags=refusal.code)
        return redirect("invitation", token)
    except DomainError as refusal:
        if refusal.status == 404:
            return _used_by(request, token) or error_page(request, refusal)
        messages.error(request, user_message(refusal), extra_tags=refusal.code)
        return redirect("invitation", token)
    request.session.pop(SESSION_INVITATION, None)
    request.session[SESSION_ORGANIZATION] = str(organization.pk)
    messages.success(request, _("Welcome to %(name)s.") % {"name": organization.name})
    return redirect("home")
