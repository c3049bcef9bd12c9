"""The limit of members of an organization, which `accounts` calls through the setting SEAT_LIMIT."""

from accounts.models import Organization
from accounts.types import SeatLimit
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from entitlements.types import Entitlements


def seat_limit(organization: Organization) -> SeatLimit | None:
    """Return the maximum number of members of the organization's plan, or None if unlimited."""
    return entitled_seats(EntitlementsManager(organization).entitlements())


def entitled_seats(entitlements: Entitlements) -> SeatLimit | None:
    """Return the maximum number of members that the entitlements allow, or None if unlimited."""
    if CATALOG.seats is None:
        return None
    limit = entitlements.features[CATALOG.seats.name].limit
    return None if limit is None else SeatLimit(CATALOG.seats.name, limit)
