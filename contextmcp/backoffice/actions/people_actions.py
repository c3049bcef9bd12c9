"""Members and invitations of an organization, and the email addresses of its members."""

from typing import Any

from allauth.account.models import EmailAddress

from accounts.errors import AddressInUse, OwnerRequired, OwnershipNotTransferable
from accounts.manager import AuthManager
from accounts.models import ApiKey, Invitation, Membership, Organization
from accounts.roles import Role
from accounts.selectors import is_registered
from accounts.services import users
from contextmcp.backoffice.errors import ActionNotPossible
from contextmcp.backoffice.wording import moment
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound
from contextmcp.common.ids import as_uuid

from .base import ActionForm, ConfirmedRequest, OrganizationAction, OrganizationFacts, Preview, Row
from .fields import choice_field, email_field

GROUP = "People"
# Maximum number of members in a list. A member who is selected by a link to the action is always included.
MAX_CHOICES = 200


class MemberForm(ActionForm):
    """A form with a choice of members, limited to `roles`."""

    roles: tuple[str, ...] = tuple(Role.values)
    member = choice_field("Member")

    def prepare(self) -> None:
        rows = _members(self.organization, str(self["member"].value() or "")).filter(role__in=self.roles)
        self.fields["member"].choices = [(str(row.pk), _describe(row)) for row in rows]  # type: ignore[attr-defined]


class RoleForm(MemberForm):
    role = choice_field("New role", choices=Role.choices)


class ChangeRole(OrganizationAction):
    name = "change-role"
    title = "Change a member's role"
    group = GROUP
    permission = "accounts.change_membership"
    description = (
        "Changes what a member may do. The new role applies to the member's keys immediately. Owners are notified of new owners and admins."
    )
    form = RoleForm
    beneficial = True
    sensitive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        member = _member(organization, data["member"])
        if member.role == data["role"]:
            raise ActionNotPossible("The member already has this role.")
        keys = ApiKey.objects.filter(creator=member, revoked_at=None).count()
        rows = [Row(f"Role of {member.user}", str(Role(member.role).label), str(Role(data["role"]).label))]
        if keys:
            rows.append(Row("Keys of the member", f"{keys:,}", "limited by the new role"))
        warnings = ("This member is the only owner. Make another member an owner first.",) if member.role == Role.OWNER else ()
        return Preview(tuple(rows), warnings)

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        member = AuthManager(organization).change_role(confirmed.actor, _id(data["member"]), data["role"], reason=confirmed.reason)
        return f"{member.user} is now {Role(member.role).with_article}."


class RemoveMember(OrganizationAction):
    name = "remove-member"
    title = "Remove a member"
    group = GROUP
    permission = "accounts.remove_membership"
    description = "The member loses access. Keys that the member created stop working until they are reassigned to another member."
    form = MemberForm
    sensitive = True
    destructive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        member = _member(organization, data["member"])
        keys = ApiKey.objects.filter(creator=member, revoked_at=None).count()
        rows = (
            Row(f"{member.user}", str(Role(member.role).label), "not a member"),
            Row("Keys of the member", f"{keys:,} not revoked", "do not work" if keys else "none"),
        )
        return Preview(rows)

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        member = _member(organization, data["member"])
        AuthManager(organization).remove_member(confirmed.actor, member.pk, reason=confirmed.reason)
        return f"{member.user} was removed."


class TransferForm(ActionForm):
    present = choice_field("Current owner", help_text="Becomes an admin.")
    member = choice_field("New owner")

    def prepare(self) -> None:
        rows = list(_members(self.organization, str(self["member"].value() or "")))
        owners = _members(self.organization, "").filter(role=Role.OWNER)
        self.fields["present"].choices = [(str(row.pk), _describe(row)) for row in owners]  # type: ignore[attr-defined]
        others = [(str(row.pk), _describe(row)) for row in rows if row.role != Role.OWNER and row.user.is_active]
        self.fields["member"].choices = others  # type: ignore[attr-defined]


class TransferOwnership(OrganizationAction):
    name = "transfer-ownership"
    title = "Transfer ownership"
    group = GROUP
    permission = "accounts.transfer_ownership"
    description = (
        "Makes a member an owner and the current owner an admin. Verify the identity of the requester first. All owners are notified by "
        "email."
    )
    form = TransferForm
    beneficial = True
    sensitive = True
    destructive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        former, new = _member(organization, data["present"]), _member(organization, data["member"])
        if former.role != Role.OWNER or new.role == Role.OWNER:
            raise OwnershipNotTransferable
        rows = [Row(f"Role of {new.user}", str(Role(new.role).label), "Owner"), Row(f"Role of {former.user}", "Owner", "Admin")]
        warnings = []
        if not EmailAddress.objects.filter(user=new.user, email__iexact=new.user.email, verified=True).exists():
            warnings.append("The new owner has not confirmed their email address.")
        if organization.email.lower() == former.user.email.lower():
            warnings.append("Invoices are still sent to the current owner. Change the billing email as well.")
        return Preview(tuple(rows), tuple(warnings))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        present, member = _id(data["present"]), _id(data["member"])
        new = AuthManager(organization).transfer_ownership(confirmed.actor, present, member, reason=confirmed.reason)
        return f"{new.user} is now the owner."


class AddressForm(MemberForm):
    email = email_field("New email address")


class ChangeAddress(OrganizationAction):
    name = "change-address"
    title = "Change a member's email address"
    group = GROUP
    permission = "accounts.change_user"
    description = (
        "The new address becomes the only one of the account. The old address can no longer be used to sign in or reset the "
        "password, and all sessions end. Both addresses are notified. Verify the identity of the requester first."
    )
    form = AddressForm
    sensitive = True
    destructive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        member = _member(organization, data["member"])
        user, email = member.user, data["email"].strip().lower()
        _require_customer(member)
        if email == user.email:
            raise ActionNotPossible("The member already has this address.")
        if is_registered(email):
            raise AddressInUse
        others = Membership.objects.filter(user=user).exclude(organization=organization).count()
        rows = [
            Row("Email address", user.email, email),
            Row(
                "Confirmed",
                "yes" if EmailAddress.objects.filter(user=user, verified=True).exists() else "no",
                "no, until the link is opened",
            ),
            Row("Sessions", "", "all ended"),
        ]
        if organization.email.lower() == user.email:
            rows.append(Row("Billing email of the organization", organization.email, "not changed"))
        warnings = (f"The person is also a member of {others:,} other organization{'' if others == 1 else 's'}.",) if others else ()
        return Preview(tuple(rows), warnings)

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        member = _member(organization, data["member"])
        _require_customer(member)
        old = member.user.email
        users.change_email(member.user, data["email"], confirmed.actor, organization=organization, reason=confirmed.reason)
        return f"The email address of {old} is now {member.user.email}."


class InvitationForm(ActionForm):
    invitation = choice_field("Invitation")

    def prepare(self) -> None:
        chosen = as_uuid(str(self["invitation"].value() or ""))
        rows = list(_invitations(self.organization)[:MAX_CHOICES])
        rows += [row for row in _invitations(self.organization).filter(pk=chosen) if row not in rows] if chosen else []
        self.fields["invitation"].choices = [(str(row.pk), _describe_invitation(row)) for row in rows]  # type: ignore[attr-defined]


class _InvitationAction(OrganizationAction):
    group = GROUP
    permission = "accounts.manage_invitation"
    form = InvitationForm

    def unavailable(self, facts: OrganizationFacts) -> str:
        return super().unavailable(facts) or ("" if facts.has_invitations else "No invitation is open.")


class ResendInvitation(_InvitationAction):
    name = "resend-invitation"
    title = "Resend an invitation"
    description = "Emails a new link that works for seven days. The previous link stops working."

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        row = _invitation(organization, data["invitation"])
        return Preview((Row(f"Link of {row.email}", f"valid until {moment(row.expires_at)}", "a new one, valid for 7 days"),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        row = AuthManager(organization).resend_invitation(confirmed.actor, _id(data["invitation"]), reason=confirmed.reason)
        return f"The invitation was sent to {row.email} again."


class ExtendInvitation(_InvitationAction):
    name = "extend-invitation"
    title = "Extend an invitation"
    description = "The existing link works for another seven days from now. No email is sent."

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        row = _invitation(organization, data["invitation"])
        return Preview((Row(f"Link of {row.email}", f"valid until {moment(row.expires_at)}", "valid for 7 days from now"),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        row = AuthManager(organization).extend_invitation(confirmed.actor, _id(data["invitation"]), reason=confirmed.reason)
        return f"The invitation of {row.email} is valid until {moment(row.expires_at)}."


class RevokeInvitation(_InvitationAction):
    name = "revoke-invitation"
    title = "Revoke an invitation"
    description = "The invitation link stops working."
    destructive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        row = _invitation(organization, data["invitation"])
        return Preview((Row(f"Invitation of {row.email}", str(Role(row.role).label), "revoked"),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        row = _invitation(organization, data["invitation"])
        AuthManager(organization).revoke_invitation(confirmed.actor, row.pk, reason=confirmed.reason)
        return f"The invitation of {row.email} was revoked."


def _members(organization: Organization, chosen: str) -> Any:
    """Return the members to choose from: the owners, the members who joined first, and `chosen`."""
    rows = Membership.objects.filter(organization=organization).select_related("user")
    first = list(rows.order_by("created_at", "id").values_list("pk", flat=True)[:MAX_CHOICES])
    owners = list(rows.filter(role=Role.OWNER).values_list("pk", flat=True)[:MAX_CHOICES])
    return rows.filter(pk__in={*first, *owners, *filter(None, [as_uuid(chosen)])})


def _describe(member: Membership) -> str:
    return f"{member.user} ({Role(member.role).label.lower()})"


def _member(organization: Organization, key: str) -> Membership:
    members = Membership.objects.select_related("user").filter(organization=organization)
    row: Membership | None = members.filter(pk__in=filter(None, [as_uuid(key)])).first()
    if row is None:
        raise NotFound("This member does not exist.")
    return row


def _require_customer(member: Membership) -> None:
    """Raise `OwnerRequired` if the member is staff. Only owners may change staff accounts, on the admin page of users."""
    if member.user.is_staff or member.user.is_superuser:
        raise OwnerRequired


def _invitations(organization: Organization) -> Any:
    return Invitation.objects.pending().filter(organization=organization)


def _describe_invitation(row: Invitation) -> str:
    state = "expired" if row.expires_at <= now(row.organization) else f"valid until {moment(row.expires_at)}"
    return f"{row.email} ({Role(row.role).label.lower()}, {state})"


def _invitation(organization: Organization, key: str) -> Invitation:
    row: Invitation | None = _invitations(organization).filter(pk=as_uuid(key)).first()
    if row is None:
        raise NotFound("This invitation is no longer open.")
    return row


def _id(key: str) -> Any:
    return as_uuid(key)
