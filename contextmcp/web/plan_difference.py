"""What an organization gains and loses with a change of its entitlements, as rows of a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from billing.types import OverLimit
from entitlements.catalog import CATALOG
from entitlements.types import Entitlements, FeatureEntitlement, Kind
from usage.selectors import FeatureUsage

from .amount_texts import feature_amount

Cell = bool | str


@dataclass(frozen=True)
class ChangedFeature:
    """A feature whose value changes: True, False or a formatted amount, before and after."""

    title: str
    before: Cell
    after: Cell


@dataclass(frozen=True)
class PlanDifference:
    gains: tuple[ChangedFeature, ...]
    losses: tuple[ChangedFeature, ...]


def plan_difference(before: Entitlements, after: Entitlements) -> PlanDifference:
    """Compare two entitlements, in the order of the catalog. Overrides and other grants are part of both."""
    names = dict.fromkeys([*(feature.name for feature in CATALOG.features), *before.features, *after.features])
    pairs = [(name, before.features.get(name), after.features.get(name)) for name in names]
    gains = [*_rows(pairs, lambda old, new: _size(new) > _size(old)), *_overage_rows(after.features, before.features, gained=True)]
    losses = [*_rows(pairs, lambda old, new: _size(new) < _size(old)), *_overage_rows(before.features, after.features, gained=False)]
    return PlanDifference(tuple(gains), tuple(losses))


def over_limits_after(usage: list[FeatureUsage], after: Entitlements) -> tuple[OverLimit, ...]:
    """Return the gauges that exceed the limits of `after`."""
    in_use = {each.feature: each.used or 0 for each in usage if each.kind is Kind.GAUGE}
    limits = {each.feature: each.limit or 0 for each in after.features.values() if each.kind is Kind.GAUGE and each.limit is not None}
    return tuple(OverLimit(name, in_use[name], limit) for name, limit in limits.items() if in_use.get(name, 0) > limit)


Pair = tuple[str, FeatureEntitlement | None, FeatureEntitlement | None]
Comparison = Callable[[FeatureEntitlement | None, FeatureEntitlement | None], bool]


def _rows(pairs: list[Pair], condition: Comparison) -> list[ChangedFeature]:
    return [ChangedFeature(CATALOG.feature_title(name), _cell(old), _cell(new)) for name, old, new in pairs if condition(old, new)]


def _overage_rows(
    having: Mapping[str, FeatureEntitlement], lacking: Mapping[str, FeatureEntitlement], *, gained: bool
) -> list[ChangedFeature]:
    """Return a row for each limited feature that can be had beyond its limit with one plan and not with the other."""
    rows = []
    for name, entitlement in having.items():
        other = lacking.get(name)
        limited = other is None or other.limit is not None
        if entitlement.overage_unit_amount is not None and limited and (other is None or other.overage_unit_amount is None):
            title = _("Pay-as-you-go for %(feature)s") % {"feature": CATALOG.noun(name)}
            rows.append(ChangedFeature(title, not gained, gained))
    return rows


def _size(entitlement: FeatureEntitlement | None) -> float:
    if entitlement is None or not entitlement.enabled:
        return 0
    if entitlement.kind is Kind.BOOLEAN:
        return 1
    return float("inf") if entitlement.limit is None else entitlement.limit


def _cell(entitlement: FeatureEntitlement | None) -> Cell:
    if entitlement is None or not entitlement.enabled:
        return False
    return True if entitlement.kind is Kind.BOOLEAN else feature_amount(entitlement.feature, entitlement.kind, entitlement.limit)
