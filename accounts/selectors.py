"""Queries about members, users and email addresses."""

from datetime import timedelta

from django.db.models import Q, QuerySet

from contextmcp.common.clock import now

from .models import AuditEvent, Membership, Organization, User
from .roles import Role


def team_members_count(organization: Organization) -> int:
    """Return the number of members. Open invitations do not count."""
    return Membership.objects.filter(organization=organization).count()


def active_members(organization: Organization, *roles: Role) -> QuerySet[Membership]:
    """Return the members with one of the roles whose accounts are active: those who can receive mail about the organization."""
    return Membership.objects.filter(organization=organization, role__in=roles, user__is_active=True)


def has_confirmed_email(user: User) -> bool:
    """Return whether the address that the user signs in with is confirmed."""
    return bool(user.emailaddress_set.filter(email__iexact=user.email, verified=True).exists())  # type: ignore[attr-defined]


def reader_of(address: str, organization: Organization | None = None) -> User | None:
    """Return the user in whose language and time zone an email to the address is: its own one, or the first owner of the organization."""
    user = User.objects.filter(email__iexact=address).first()
    if user is None and organization is not None:
        owner = active_members(organization, Role.OWNER).select_related("user").order_by("created_at", "id").first()
        user = owner.user if owner else None
    return user


def is_registered(email: str) -> bool:
    """Return whether an account signs in with the address or has confirmed it. Unconfirmed additional addresses do not count."""
    owned = Q(email__iexact=email) | Q(emailaddress__email__iexact=email, emailaddress__verified=True)
    return User.objects.filter(owned).exists()


def sign_in_addresses(email: str) -> set[str]:
    """Return the client addresses of the account's sign-ins within 90 days."""
    events = AuditEvent.objects.filter(actor_user__email__iexact=email, action="user.signed_in", created_at__gt=now() - timedelta(days=90))
    return {address for address in events.values_list("ip_address", flat=True).distinct() if address}
