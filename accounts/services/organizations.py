"""Making and closing organizations."""

import re
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.text import slugify

from accounts import audit, revocations
from accounts.errors import OrganizationLimitReached
from accounts.models import ApiKey, Invitation, Membership, Organization, User
from accounts.roles import Role
from accounts.selectors import has_confirmed_email
from accounts.signals import organization_changed, organization_closed
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict, NotFound, ValidationFailed
from contextmcp.common.logs import mask

_SLUG_LENGTH = 50
# Names stand in mails to people who never heard of the organization. An address there would be the sender's words under our name.
# A domain alone ("Booking.com") is a name like others.
_LINK = re.compile(r"://|\bwww\.|\bmailto:|\w\.\w{2,}/|\S@\w+\.\w|\bt\.me\b", re.IGNORECASE)


def create(user: User, name: str) -> Organization:
    """Create an organization with `user` as its owner, both or neither. Raises `ValidationFailed`, `OrganizationLimitReached`."""
    name = clean_name(name)
    with transaction.atomic():
        _may_own_another(user)
        organization = Organization.objects.create(name=name, slug=_free_slug(name), email=user.email)
        Membership.objects.create(organization=organization, user=user, role=Role.OWNER)
        audit.record("organization.created", organization=organization, actor=user, target=organization.pk, after={"name": name})
    return organization


def clean_name(name: str) -> str:
    """The name as it is stored. Raises `ValidationFailed`."""
    name = mask(name.strip())
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise ValidationFailed(errors=[{"field": "name", "message": "Give 1 to 100 printable characters."}])
    if _LINK.search(name):
        raise ValidationFailed(errors=[{"field": "name", "message": "A name must not contain a web or email address."}])
    return name


def _may_own_another(user: User) -> None:
    """Raise `OrganizationLimitReached`. Closed organizations count for 30 days: closing one must not buy another free plan at once."""
    # Locked until the transaction ends, so that two at once do not both find room.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    recently = Q(organization__closed_at=None) | Q(organization__created_at__gt=now() - timedelta(days=30))
    owned = Membership.objects.filter(recently, user=user, role=Role.OWNER).count()
    if owned and not has_confirmed_email(user):
        raise OrganizationLimitReached("Confirm your email address before you create another organization.", limit=1)
    if owned >= settings.ORGANIZATIONS_PER_USER:
        raise OrganizationLimitReached(limit=settings.ORGANIZATIONS_PER_USER)


def _free_slug(name: str) -> str:
    base = slugify(name)[:_SLUG_LENGTH].strip("-") or "organization"
    if not Organization.objects.filter(slug=base).exists():
        return base
    # Two that come at once for the same name get different endings; 40 random bits do not meet.
    return f"{base}-{secrets.token_hex(4)}"


def locked(organization: Organization) -> Organization:
    """The row as it is now, locked until the transaction ends: whatever counts members or seats happens under it."""
    row = Organization.objects.select_for_update(no_key=True).filter(pk=organization.pk, closed_at=None).first()
    if row is None:
        raise NotFound("This organization was closed.")
    return row


def close(organization: Organization, actor: Caller | User | None, *, reason: str = "") -> None:
    """Its keys stop, its invitations end, its members see it no more. Closing it again changes nothing."""
    if isinstance(actor, Caller):
        actor.require(scope="organization:write", permission="organization:manage")
    with transaction.atomic():
        row = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if row.closed_at is not None:
            if isinstance(actor, User):
                raise Conflict("This organization is closed already.")
            return
        row.closed_at = organization.closed_at = now()
        row.save(update_fields=["closed_at"])
        ended: dict[str, Any] = {
            "keys": ApiKey.objects.filter(organization=row, revoked_at=None).update(revoked_at=row.closed_at),
            "invitations": Invitation.objects.pending().filter(organization=row).update(revoked_at=row.closed_at),
        }
        audit.record("organization.closed", organization=row, actor=actor, target=row.pk, after=ended, reason=reason)
        organization_closed.send(sender=Organization, organization=row)
        revocations.hurry()


def set_clock(organization: Organization, offset: timedelta, test_clock_id: str) -> None:
    """How far ahead of real time the organization lives: its customer's Stripe test clock. Every process hears of it within a second."""
    changed = Organization.objects.filter(pk=organization.pk).update(clock_offset=offset, test_clock_id=test_clock_id)
    assert changed == 1
    organization.clock_offset, organization.test_clock_id = offset, test_clock_id
    revocations.hurry()


def update(organization: Organization, actor: Caller | User | None, *, name: str, email: str) -> None:
    """Rename it, or send its bills elsewhere."""
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
            audit.record("organization.changed", organization=row, actor=actor, target=row.pk, before=before, after=after)
            organization_changed.send(sender=Organization, organization=row)
