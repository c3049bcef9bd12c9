"""How many members an organization's plan allows: what accepting an invitation asks of entitlements."""

from accounts.models import Organization
from entitlements.manager import EntitlementsManager


def seat_limit(organization: Organization) -> int | None:
    """None where there is no limit."""
    return EntitlementsManager(organization).entitlements().allowances["team_members"].limit
