"""The rule that staff give nothing to an organization that they are a member of. Owners of the admin (superusers) are exempt."""

from .errors import OwnOrganization
from .models import Membership, Organization, User


def is_own_organization(actor: User, organization: Organization) -> bool:
    """Return whether the member of staff is a member of the organization and no owner of the admin."""
    return not actor.is_superuser and Membership.objects.filter(organization=organization, user=actor).exists()


def require_other_organization(actor: User, organization: Organization) -> None:
    """Raise `OwnOrganization` if `is_own_organization`."""
    if is_own_organization(actor, organization):
        raise OwnOrganization
