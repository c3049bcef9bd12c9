"""Mails of identity. Each is stored in the transaction that it tells of (see `contextmcp.common.emails`)."""

import re
from datetime import datetime
from typing import Any

from django.conf import settings
from django.dispatch import receiver
from django.template.loader import render_to_string

from contextmcp.common.emails import email_delivered, send_email

from .models import Invitation, Membership, Organization, User
from .roles import Role

INVITATION = "invitation"
_LONGEST_NAME = 60


def display_name(name: str) -> str:
    """A name as it may stand in a mail: at most 60 characters, on one line, and nothing that a mail client turns into a link."""
    name = " ".join(name.split())
    name = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    # A zero-width space after the dot: "evil.example" reads the same and is no link.
    return re.sub(r"(?<=\w)([.:@/])(?=[\w/])", "\\1\u200b", name)


def send_invitation(invitation: Invitation, token: str) -> None:
    """Store the mail with the link. `sent_at` is set when the mail server has taken it."""
    name = display_name(invitation.organization.name)
    inviter = invitation.invited_by.get_full_name() if invitation.invited_by else invitation.organization.name
    context = {
        "invitation": invitation,
        "organization": name,
        "inviter": display_name(inviter),
        "link": f"{settings.PUBLIC_URL}/invitations/{token}/",
    }
    send_email(
        category=INVITATION,
        reference=invitation.pk,
        to=invitation.email,
        subject=f"Invitation to join “{name}” on ContextMCP",
        text=render_to_string("accounts/mail/invitation.txt", context),
        html=render_to_string("accounts/mail/invitation.html", context),
    )


@receiver(email_delivered)
def _invitation_delivered(category: str, reference: str, sent_at: datetime, **_: Any) -> None:
    if category == INVITATION:
        Invitation.objects.filter(pk=reference).update(sent_at=sent_at)


def send_role_notices(member: Membership, actor: User | None) -> None:
    """Tell every owner that somebody became an owner or admin. `actor` is who did it; None is staff of the vendor or the system."""
    organization: Organization = member.organization
    context = {
        "organization": display_name(organization.name),
        "member": member.user.email,
        "role": member.get_role_display().lower(),
        "actor": actor.email if actor else "ContextMCP support",
        "link": f"{settings.PUBLIC_URL}/account/team/",
    }
    for owner in User.objects.filter(memberships__organization=organization, memberships__role=Role.OWNER, is_active=True):
        send_email(
            category="role_notice",
            reference=member.pk,
            to=owner.email,
            subject=f"{member.user.email} is now {context['role']} of “{context['organization']}”",
            text=render_to_string("accounts/mail/role.txt", context),
            html=render_to_string("accounts/mail/role.html", context),
        )
