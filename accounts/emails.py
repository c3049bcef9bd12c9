"""Emails of the accounts app. Each is stored in the transaction of the change it reports (see `contextmcp.common.emails`)."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.dispatch import receiver
from django.utils.dateformat import format as format_date

from contextmcp.common.emails import EmailContent, email_delivered, send_email

from .models import AuditEvent, Invitation, Membership, Organization, User
from .roles import PRIVILEGED_ROLES, Role
from .selectors import active_members

INVITATION, ROLE_NOTICE = "invitation", "role_notice"
_MAX_NAME_LENGTH = 60
# Changes that make a member an owner or admin. Their target is the member's address.
_ROLE_CHANGES = ("member.role_changed", "member.ownership_transferred")


def display_name(name: str) -> str:
    """Return a name for use in an email: one line of at most 60 characters that mail clients do not turn into a link."""
    name = " ".join(name.split())
    name = name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 1]}…"
    # A zero-width space after the dot prevents "evil.example" from becoming a link without changing how it reads.
    return re.sub(r"(?<=\w)([.:@/])(?=[\w/])", "\\1\u200b", name)


def send_invitation(invitation: Invitation, token: str) -> None:
    """Store the email with the invitation link. `sent_at` is set when the mail server has accepted it."""
    name = display_name(invitation.organization.name)
    inviter = display_name(invitation.invited_by.get_full_name()) if invitation.invited_by else ""
    invited = f"{inviter} has invited you" if inviter else "You have been invited"
    expires_at = format_date(invitation.expires_at, "F j, Y, H:i")
    content = EmailContent(
        title=f"Invitation to join “{name}” on {settings.PRODUCT_NAME}",
        paragraphs=(f"{invited} to join {name} on {settings.PRODUCT_NAME} as {Role(invitation.role).with_article}.",),
        label="Accept invitation",
        link=f"{settings.PUBLIC_URL}/invitations/{token}/",
        note=f"You can use this link once. It expires on {expires_at} UTC. If you did not expect this invitation, ignore this email.",
    )
    organization_id = invitation.organization_id
    send_email(content, to=invitation.email, category=INVITATION, reference=invitation.pk, organization_id=organization_id)


@receiver(email_delivered)
def _invitation_delivered(category: str, reference: str, sent_at: datetime, **_: Any) -> None:
    if category == INVITATION:
        Invitation.objects.filter(pk=reference).update(sent_at=sent_at)


def send_role_notices(member: Membership, actor: User | None) -> None:
    """Notify all owners that a member became an owner or admin. An `actor` of None is the vendor's staff or the system."""
    for address in _owners(member.organization).values_list("user__email", flat=True):
        _send_role_notice(member, actor, address)


def resend_role_notice(member: Membership, to: str) -> None:
    """Send the notice about the member's role to one owner again. It names the user who last changed the role."""
    changes = AuditEvent.objects.filter(organization=member.organization, action__in=_ROLE_CHANGES, target=member.user.email)
    last = changes.select_related("actor_user").order_by("-created_at", "-id").first()
    _send_role_notice(member, last.actor_user if last else None, to)


def role_notice_applies(member: Membership, address: str) -> bool:
    """Return whether the member is still an owner or admin and `address` is still the address of an active owner."""
    return member.role in PRIVILEGED_ROLES and _owners(member.organization).filter(user__email=address).exists()


def _owners(organization: Organization) -> QuerySet[Membership]:
    return active_members(organization, Role.OWNER)


def _send_role_notice(member: Membership, actor: User | None, to: str) -> None:
    organization: Organization = member.organization
    name = display_name(organization.name)
    content = EmailContent(
        title=f"{member.user.email} is now {Role(member.role).with_article} of “{name}”",
        paragraphs=(
            f"The change was made by {actor.email if actor else f'{settings.PRODUCT_NAME} support'}.",
            "If you did not expect this change, change the role or remove the member.",
        ),
        label="View members",
        link=f"{settings.PUBLIC_URL}/account/team/",
        note=f"You receive this email because you are an owner of {name}.",
    )
    send_email(content, to=to, category=ROLE_NOTICE, reference=member.pk, organization_id=organization.pk)


def send_security_notice(addresses: Iterable[str], title: str, *paragraphs: str, link: str) -> None:
    """Notify a user, at each of their addresses, of a change that the vendor's staff made to the account."""
    note = "If you did not request this change, reply to this email immediately."
    content = EmailContent(title=title, paragraphs=paragraphs, label="Sign in", link=f"{settings.PUBLIC_URL}{link}", note=note)
    for address in addresses:
        send_email(content, to=address, category="security_notice")
