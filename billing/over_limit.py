"""Gauges whose value exceeds a plan's limit. The excess is read-only and not deleted."""

from __future__ import annotations

from accounts.models import Organization
from billing.types import OverLimit
from contextmcp.common.clock import now
from entitlements.catalog_schema import Plan
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind
from usage import selectors


def over_limits_for_plan(organization: Organization, plan: Plan) -> tuple[OverLimit, ...]:
    """Return the gauges that would exceed the limits of `plan`."""
    limits = {name: term.value for name, term in plan.features.items() if term.kind is Kind.GAUGE}
    in_use = selectors.gauge_values(organization)
    rows = ((feature, in_use.get(feature, 0), limit) for feature, limit in limits.items() if limit is not None)
    return tuple(OverLimit(feature, used, int(limit)) for feature, used, limit in rows if used > limit)


def current_over_limits(organization: Organization, usage: list[selectors.FeatureUsage] | None = None) -> tuple[OverLimit, ...]:
    """Return the gauges that exceed the current entitlements, including overrides. `usage` avoids a second query."""
    if usage is None:
        usage = selectors.current(EntitlementsManager(organization).entitlements(), now(organization)).usage
    return tuple(
        OverLimit(each.feature, each.used, each.included)
        for each in usage
        if each.kind is Kind.GAUGE and each.included is not None and each.used is not None and each.used > each.included
    )
