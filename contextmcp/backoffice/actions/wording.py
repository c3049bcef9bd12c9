"""Formatting of plans and features in previews."""

from entitlements.catalog import CATALOG
from entitlements.services.staff_preview import EntitlementChange
from entitlements.types import Entitlements, FeatureEntitlement, Kind, Source

from .base import Row

SOURCES = {
    Source.FREE: "no plan",
    Source.SUBSCRIPTION: "subscription",
    Source.TRIAL: "trial",
    Source.GIFT: "gift",
    Source.STAFF: "granted by staff",
}


def feature_value(entitlement: FeatureEntitlement | None) -> str:
    """Return a value such as "1,000 a month", "unlimited" or "not included"."""
    if entitlement is None or not entitlement.enabled:
        return "not included"
    if entitlement.kind is Kind.BOOLEAN:
        return "included"
    if entitlement.limit is None:
        return "unlimited"
    period = {Kind.QUOTA: " a month", Kind.RATE_LIMIT: " a minute"}.get(entitlement.kind, "")
    return f"{entitlement.limit:,}{period}"


def plan_in_effect(entitlements: Entitlements) -> str:
    return f"{entitlements.plan_title} v{entitlements.plan_version} ({SOURCES[entitlements.source]})"


def entitlement_rows(change: EntitlementChange) -> tuple[Row, ...]:
    """Return the plan in effect and the features that change."""
    features = tuple(
        Row(CATALOG.feature_title((new or old).feature), feature_value(old), feature_value(new))  # type: ignore[union-attr]
        for old, new in change.changed_features
    )
    return (Row("Plan in effect", plan_in_effect(change.before), plan_in_effect(change.after)), *features)
