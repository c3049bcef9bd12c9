"""Emails of the accounts app. Each is stored in the transaction of the change it reports (see `contextmcp.common.emails`)."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.dispatch import receiver
from django.utils.translation import gettext as _

from contextmcp.common.emails import EmailContent, email_delivered, send_email
from contextmcp.common.formatting import format_moment
from contextmcp.common.locale import localized_for

from .models import AuditEvent, Invitation, Membership, Organization, User
from .roles import PRIVILEGED_ROLES, Role
from .selectors import active_members, reader_of

INVITATION, ROLE_NOTICE, CLOSED = "invitation", "role_notice", "organization_closed"
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
    reader = reader_of(invitation.email) or invitation.invited_by
    _send(lambda: invitation_content(invitation, token), invitation.email, INVITATION, invitation, reader=reader)


def invitation_content(invitation: Invitation, token: str) -> EmailContent:
    """Return the email with the invitation link."""
    inviter = display_name(invitation.invited_by.get_full_name()) if invitation.invited_by else ""
    names = {
        "name": display_name(invitation.organization.name),
        "product": settings.PRODUCT_NAME,
        "inviter": inviter,
        "role": Role(invitation.role).label,
        "moment": format_moment(invitation.expires_at),
    }
    return EmailContent(
        title=_("Invitation to join “%(name)s” on %(product)s") % names,
        paragraphs=(
            _("%(inviter)s has invited you to join %(name)s on %(product)s with the role “%(role)s”.") % names
            if inviter
            else _("You have been invited to join %(name)s on %(product)s with the role “%(role)s”.") % names,
            str(Role(invitation.role).summary),
        ),
        label=_("Accept invitation"),
        link=f"{settings.PUBLIC_URL}/invitations/{token}/",
        note=_("You can use this link once. It expires on %(moment)s. If you did not expect this invitation, ignore this email.") % names,
    )


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
    _send(lambda: role_notice_content(member, actor), to, ROLE_NOTICE, member)


def role_notice_content(member: Membership, actor: User | None) -> EmailContent:
    """Return the notice that a member became an owner or admin. An `actor` of None is the vendor's staff or the system."""
    names = {
        "email": member.user.email,
        "name": display_name(member.organization.name),
        "role": Role(member.role).label,
        "actor": actor.email if actor else "",
        "product": settings.PRODUCT_NAME,
    }
    return EmailContent(
        title=_("%(email)s now has the role “%(role)s” in “%(name)s”") % names,
        paragraphs=(
            _("The change was made by %(actor)s.") % names if actor else _("The change was made by %(product)s support.") % names,
            _("If you did not expect this change, change the role or remove the member."),
        ),
        label=_("View members"),
        link=f"{settings.PUBLIC_URL}/account/team/",
        note=_("You receive this email because you are an owner of %(name)s.") % names,
    )


def send_closed(organization: Organization) -> None:
    """Notify all owners that the organization was closed."""
    for address in _owners(organization).values_list("user__email", flat=True):
        _send(lambda: closed_content(organization), address, CLOSED, organization)


def closed_content(organization: Organization) -> EmailContent:
    """Return the notice that an organization was closed."""
    names = {"name": display_name(organization.name), "product": settings.PRODUCT_NAME}
    return EmailContent(
        title=_("“%(name)s” was closed") % names,
        paragraphs=(
            _("The organization %(name)s on %(product)s was closed. Its API keys, connected apps and memberships no longer work.") % names,
            _("Its subscription has ended and is not renewed. Owners and admins can still download its invoices after signing in."),
            _("If you did not expect this, reply to this email."),
        ),
        label=_("View invoices"),
        link=f"{settings.PUBLIC_URL}/account/closed/{organization.pk}/",
        note=_("You receive this email because you are an owner of %(name)s.") % names,
    )


def _send(
    content: Callable[[], EmailContent],
    to: str,
    category: str,
    subject: Invitation | Membership | Organization,
    *,
    reader: User | None = None,
) -> None:
    """Send an email about an organization in the language and time zone of `reader`, by default the user with the address."""
    organization_id = subject.pk if isinstance(subject, Organization) else subject.organization_id
    with localized_for(reader or reader_of(to)):
        send_email(content(), to=to, category=category, reference=subject.pk, organization_id=organization_id)


def send_security_notice(user: User, addresses: Iterable[str], content: Callable[[], EmailContent]) -> None:
    """Notify a user, at each of the addresses, of a change that the vendor's staff made to the account. `content` is called localized."""
    for address in addresses:
        with localized_for(user):
            send_email(content(), to=address, category="security_notice")


def email_changed_by_staff(old: str, new: str) -> EmailContent:
    """Return the notice that staff changed the address of an account."""
    names = {"old": old, "new": new, "product": settings.PRODUCT_NAME}
    return _security_notice(
        _("Your %(product)s email address was changed") % names,
        _("Our support team changed the email address of your account from %(old)s to %(new)s, and signed you out everywhere.") % names,
        _("Sign in with %(new)s from now on.") % names,
        link="/accounts/login/",
    )


def second_factor_removed_by_staff() -> EmailContent:
    """Return the notice that staff removed the second factor of an account."""
    return _security_notice(
        _("Your %(product)s second factor was removed") % {"product": settings.PRODUCT_NAME},
        _("Our support team removed the second factor of your account and signed you out everywhere. Sign in and set up a new one."),
        link="/accounts/2fa/",
    )


def _security_notice(title: str, *paragraphs: str, link: str) -> EmailContent:
    note = _("If you did not ask for this, reply to this message immediately.")
    return EmailContent(title=title, paragraphs=paragraphs, label=_("Sign in"), link=f"{settings.PUBLIC_URL}{link}", note=note)
