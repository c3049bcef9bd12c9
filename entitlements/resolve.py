"""Resolve grants and overrides to entitlements. Pure functions without I/O."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from .catalog_schema import Feature, FeatureValue, Plan, Value, valid_value
from .types import Entitlements, FeatureEntitlement, Kind, Source


@dataclass(frozen=True, slots=True)
class GrantInput:
    """The fields of a grant that affect entitlements. It holds while `starts_at <= moment < ends_at`."""

    plan: Plan
    source: Source
    starts_at: datetime
    ends_at: datetime | None
    anchor: datetime
    lapsed: bool = False
    id: int = 0

    def holds(self, at: datetime) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True)
class OverrideInput:
    """The fields of an override that affect entitlements."""

    feature: str
    value: Value
    ends_at: datetime | None
    id: int = 0

    def holds(self, at: datetime) -> bool:
        return self.ends_at is None or at < self.ends_at


@dataclass(frozen=True, slots=True)
class PlanCatalog:
    """The features and plans on offer. Plans are in ascending order; the first one is free."""

    features: Sequence[Feature]
    plans: Sequence[Plan]
    _ranks: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ranks", {plan.name: place for place, plan in enumerate(self.plans)})

    def rank(self, plan: Plan) -> int:
        return self._ranks.get(plan.name, 0)

    def cheapest_with(self, feature: str) -> str | None:
        return next((plan.name for plan in self.plans if plan.grants(feature)), None)


@dataclass(frozen=True, slots=True)
class Subject:
    """The organization. `anchor` is the start of its usage months while it has no grant."""

    id: UUID
    anchor: datetime
    active: bool = True


def resolve(
    holder: Subject, grants: Iterable[GrantInput], overrides: Iterable[OverrideInput], now: datetime, offer: PlanCatalog
) -> Entitlements:
    """Return the entitlements of `holder` at `now` and the time of their next change.

    Of several active grants, the one with the highest plan applies. Among grants of the same plan, a subscription takes precedence, so
    that its usage months and overage continue, and otherwise the grant that started last. Without an active grant, the first plan on
    offer applies.
    """
    # A grant that was ended before its start has an empty period and is ignored.
    grants, overrides = [grant for grant in grants if grant.starts_at != grant.ends_at], list(overrides)
    held = grant_in_effect(grants, now, offer)
    plan = held.plan if held else offer.plans[0]
    source = held.source if held else Source.FREE
    anchor = held.anchor if held else holder.anchor
    differing = {override.feature: override for override in sorted(overrides, key=lambda one: one.id) if override.holds(now)}
    allowances = {
        name: _feature_entitlement(name, plan=plan, source=source, anchor=anchor, offer=offer, differing=differing)
        for name in _names(offer, plan)
    }
    lost = max(
        (grant for grant in grants if grant.lapsed and grant.ends_at and grant.ends_at <= now),
        key=lambda grant: _precedence(grant, offer),
        default=None,
    )
    entitlements = Entitlements(
        organization_id=holder.id,
        active=holder.active,
        plan=plan.name,
        plan_version=plan.version,
        plan_title=plan.title,
        source=source,
        anchor=anchor,
        features=MappingProxyType(allowances),
        since=now,
        changes_at=_next_change(grants, overrides, now),
        lapsed_plan=lost.plan.name if lost else None,
        lapsed_features=_lapsed_features(lost.plan, allowances) if lost else frozenset(),
        upgrades=MappingProxyType({name: offer.cheapest_with(name) for name, one in allowances.items() if not one.enabled}),
        etag="",
    )
    return replace(entitlements, etag=_etag(entitlements))


def grant_in_effect(grants: Iterable[GrantInput], now: datetime, offer: PlanCatalog) -> GrantInput | None:
    """Return the grant that determines the plan at `now`, or None if no grant is active (see `resolve`)."""
    # A grant whose period is empty is never active.
    return max((grant for grant in grants if grant.holds(now)), key=lambda grant: _precedence(grant, offer), default=None)


def _precedence(grant: GrantInput, offer: PlanCatalog) -> tuple[int, bool, datetime, int]:
    return offer.rank(grant.plan), grant.source is Source.SUBSCRIPTION, grant.starts_at, grant.id


def _lapsed_features(lost: Plan, allowances: Mapping[str, FeatureEntitlement]) -> frozenset[str]:
    return frozenset(name for name in lost.features if lost.grants(name) and not (name in allowances and allowances[name].enabled))


def _names(offer: PlanCatalog, plan: Plan) -> list[str]:
    # Subscribers keep features of their published version that are no longer on offer.
    return list(dict.fromkeys([*(feature.name for feature in offer.features), *plan.features]))


def _feature_entitlement(
    name: str, *, plan: Plan, source: Source, anchor: datetime, offer: PlanCatalog, differing: Mapping[str, OverrideInput]
) -> FeatureEntitlement:
    declared = next((feature for feature in offer.features if feature.name == name), None)
    kind = declared.kind if declared else plan.features[name].kind
    term = plan.features.get(name, FeatureValue(kind, False if kind is Kind.BOOLEAN else 0))
    override = differing.get(name)
    # An override is ignored if the kind of the feature has changed since and its value is no longer valid.
    counts = override is not None and valid_value(kind, override.value)
    value = override.value if override and counts else term.value
    # Overage needs a subscription to be invoiced on.
    overage = term.overage if source is Source.SUBSCRIPTION and value is not None else None
    return FeatureEntitlement(
        feature=name,
        kind=kind,
        enabled=FeatureValue(kind, value).grants,
        limit=None if kind is Kind.BOOLEAN else value,
        anchor=anchor,
        failure_mode=declared.failure_mode if declared else "fail_closed",
        overage_unit_amount=overage.unit_amount if overage else None,
        overage_currency=overage.currency if overage else None,
        overridden=counts,
    )


def _next_change(grants: Iterable[GrantInput], overrides: Iterable[OverrideInput], now: datetime) -> datetime | None:
    moments = [*(grant.starts_at for grant in grants), *(grant.ends_at for grant in grants), *(override.ends_at for override in overrides)]
    return min((moment for moment in moments if moment and moment > now), default=None)


def _etag(value: Entitlements) -> str:
    """Return a digest of the entitlements that does not depend on the time of the request."""
    content = [
        str(value.organization_id),
        [value.active, value.plan, value.plan_version, value.plan_title, value.source, value.lapsed_plan],
        [value.anchor.isoformat(), value.changes_at.isoformat() if value.changes_at else None],
        [
            [one.feature, one.kind, one.enabled, one.limit, one.failure_mode, one.overage_unit_amount, one.overage_currency, one.overridden]
            for one in value.features.values()
        ],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
