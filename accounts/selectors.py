"""What others may ask about a team."""

from .models import Membership, Organization, User


def team_members_count(organization: Organization) -> int:
    """Members of any role. Open invitations do not count."""
    return Membership.objects.filter(organization=organization).count()


def has_confirmed_email(user: User) -> bool:
    """Whether the address that the user signs in with was confirmed by its link."""
    return bool(user.emailaddress_set.filter(email__iexact=user.email, verified=True).exists())  # type: ignore[attr-defined]
