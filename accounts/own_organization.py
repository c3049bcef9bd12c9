"""The rule that staff must not give anything to an organization that they belong to. Owners (superusers) are exempt."""

from .errors import OwnOrganization
from .models import Membership, Organization, User


def is_own_organization(actor: User, organization: Organization) -> bool:
    """Return whether the staff user is a member of the organization and not an owner (superuser)."""
    return not actor.is_superuser and Membership.objects.filter(organization=organization, user=actor).exists()


def require_other_organization(actor: User, organization: Organization) -> None:
    """Raise `OwnOrganization` if `is_own_organization`."""
    if is_own_organization(actor, organization):
        raise OwnOrganization
