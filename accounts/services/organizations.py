"""Create, change and close organizations."""

import re
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.text import slugify
from django.utils.translation import gettext_noop as _

from accounts import audit, emails, invalidation
from accounts.errors import OrganizationClosed, OrganizationLimitReached, OrganizationOpen
from accounts.models import ApiKey, Invitation, Membership, OAuthGrant, Organization, User
from accounts.roles import ROLE_SCOPES, Role
from accounts.selectors import has_confirmed_email
from accounts.signals import organization_changed, organization_closed, organization_reopened
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound, ValidationFailed
from contextmcp.common.logs import mask

_SLUG_LENGTH = 50
# Names appear in emails to people outside the organization. A link in a name would allow phishing with our emails. A domain alone
# ("Booking.com") is allowed.
_LINK = re.compile(r"://|\bwww\.|\bmailto:|\w\.\w{2,}/|\S@\w+\.\w|\bt\.me\b", re.IGNORECASE)


def create(user: User, name: str) -> Organization:
    """Create an organization with `user` as its owner in one transaction. Raises `ValidationFailed`, `OrganizationLimitReached`."""
    name = clean_name(name)
    with transaction.atomic():
        _check_ownership_limit(user)
        organization = Organization.objects.create(name=name, slug=_free_slug(name), email=user.email)
        Membership.objects.create(organization=organization, user=user, role=Role.OWNER)
        audit.record("organization.created", organization=organization, actor=user, target=organization.pk, after={"name": name})
    return organization


def of_user(user: User, *, closed: bool = False) -> list[Organization]:
    """Return the user's open organizations by name, or with `closed` the closed organizations whose invoices the user may see."""
    memberships = Membership.objects.select_related("organization").filter(user=user, organization__closed_at__isnull=not closed)
    if closed:
        memberships = memberships.filter(role__in=[role for role, scopes in ROLE_SCOPES.items() if "billing:read" in scopes])
    return [each.organization for each in memberships.order_by("organization__name")]


def clean_name(name: str) -> str:
    """Return the normalized name. Raises `ValidationFailed`."""
    name = mask(name.strip())
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise ValidationFailed.of_field("name", _("Enter 1 to 100 printable characters."))
    if _LINK.search(name):
        raise ValidationFailed.of_field("name", _("A name must not contain a web or email address."))
    return name


def _check_ownership_limit(user: User) -> None:
    """Raise `OrganizationLimitReached` if the user owns too many organizations.

    A closed organization counts until 30 days after its creation, so that users cannot get another free plan by closing an organization.
    """
    # The lock prevents two concurrent requests from both passing the check.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    recently = Q(organization__closed_at=None) | Q(organization__created_at__gt=now() - timedelta(days=30))
    owned = Membership.objects.filter(recently, user=user, role=Role.OWNER).count()
    if owned and not has_confirmed_email(user):
        raise OrganizationLimitReached(_("Confirm your email address before you create another organization."), limit=1)
    if owned >= settings.ORGANIZATIONS_PER_USER:
        raise OrganizationLimitReached(limit=settings.ORGANIZATIONS_PER_USER)


def _free_slug(name: str) -> str:
    base = slugify(name)[:_SLUG_LENGTH].strip("-") or "organization"
    if not Organization.objects.filter(slug=base).exists():
        return base
    # 32 random bits avoid collisions of concurrent requests with the same name.
    return f"{base}-{secrets.token_hex(4)}"


def locked(organization: Organization) -> Organization:
    """Return the current row, locked until the transaction ends. Code that counts members or seats must hold this lock."""
    row = Organization.objects.select_for_update(no_key=True).filter(pk=organization.pk, closed_at=None).first()
    if row is None:
        raise NotFound(_("This organization was closed."))
    return row


def close(organization: Organization, actor: Caller | User | None, *, reason: str = "") -> None:
    """Close an organization: revoke its keys and invitations, and end its members' access. Idempotent, except for staff.

    Raises `PermissionDenied`, `ReauthenticationRequired`, and `OrganizationClosed` if staff close it again.
    """
    if isinstance(actor, Caller):
        actor.require(scope="organization:write", permission="organization:manage")
        actor.require_recent_authentication()
    with transaction.atomic():
        row = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if row.closed_at is not None:
            if isinstance(actor, User):
                raise OrganizationClosed
            return
        before = {"name": row.name, "closed_at": None}
        row.closed_at = organization.closed_at = now()
        row.save(update_fields=["closed_at"])
        ended: dict[str, Any] = {
            "keys": ApiKey.objects.filter(organization=row, revoked_at=None).update(revoked_at=row.closed_at),
            "apps": OAuthGrant.objects.filter(membership__organization=row, revoked_at=None).update(revoked_at=row.closed_at),
            "invitations": Invitation.objects.pending().filter(organization=row).update(revoked_at=row.closed_at),
        }
        audit.record("organization.closed", organization=row, actor=actor, target=row.pk, before=before, after=ended, reason=reason)
        # Without an actor, the owner never confirmed their address.
        if actor is not None:
            emails.send_closed(row)
        organization_closed.send(sender=Organization, organization=row)
        invalidation.notify_now()


def reopen(organization: Organization, actor: User, *, reason: str) -> None:
    """Reopen a closed organization, so that its members have access again.

    What closing ended stays ended: keys, connected apps, invitations and the subscription. Raises `OrganizationOpen`.
    """
    with transaction.atomic():
        row = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if row.closed_at is None:
            raise OrganizationOpen
        before = {"name": row.name, "closed_at": row.closed_at.isoformat()}
        row.closed_at = organization.closed_at = None
        row.save(update_fields=["closed_at"])
        after = {"name": row.name, "closed_at": None}
        audit.record("organization.reopened", organization=row, actor=actor, target=row.pk, before=before, after=after, reason=reason)
        organization_reopened.send(sender=Organization, organization=row)
        invalidation.notify_now()


def set_clock(organization: Organization, offset: timedelta, test_clock_id: str) -> None:
    """Set how far the organization's Stripe test clock is ahead of real time. All processes receive it within a second."""
    changed = Organization.objects.filter(pk=organization.pk).update(clock_offset=offset, test_clock_id=test_clock_id)
    assert changed == 1
    organization.clock_offset, organization.test_clock_id = offset, test_clock_id
    invalidation.notify_now()


def update(organization: Organization, actor: Caller | User | None, *, name: str, email: str, reason: str = "") -> None:
    """Change the name and the billing address. Raises `ValidationFailed`, `PermissionDenied`."""
    if isinstance(actor, Caller):
        actor.require(scope="organization:write", permission="organization:manage")
    name = clean_name(name)
    with transaction.atomic():
        row = locked(organization)
        before = {"name": row.name, "email": row.email}
        row.name = organization.name = name
        row.email = organization.email = email
        row.save(update_fields=["name", "email"])
        after = {"name": name, "email": email}
        if after != before:
            audit.record("organization.changed", organization=row, actor=actor, target=row.pk, before=before, after=after, reason=reason)
            organization_changed.send(sender=Organization, organization=row)
