"""What an organization has beyond a plan's limits: nothing of it is deleted, it is read-only, and said."""

from __future__ import annotations

from accounts.models import Organization
from billing.types import OverLimit
from entitlements.manager import EntitlementsManager
from entitlements.terms import Plan
from entitlements.types import Kind
from usage import selectors


def over(organization: Organization, plan: Plan) -> tuple[OverLimit, ...]:
    """As if the organization had `plan`."""
    limits = {name: term.value for name, term in plan.features.items() if term.kind is Kind.LIMIT}
    return _over(organization, limits)


def over_now(organization: Organization) -> tuple[OverLimit, ...]:
    """By what it is entitled to at present, overrides included."""
    allowances = EntitlementsManager(organization).entitlements().allowances.values()
    return _over(organization, {each.feature: each.limit for each in allowances if each.kind is Kind.LIMIT})


def _over(organization: Organization, limits: dict[str, bool | int | None]) -> tuple[OverLimit, ...]:
    found = ((feature, selectors.level(organization, feature), limit) for feature, limit in limits.items() if limit is not None)
    return tuple(OverLimit(feature, used, int(limit)) for feature, used, limit in found if used > limit)
