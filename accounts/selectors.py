"""What others may ask about a team."""

from .models import Membership, Organization


def team_members_count(organization: Organization) -> int:
    """Members of any role. Open invitations do not count."""
    return Membership.objects.filter(organization=organization).count()
