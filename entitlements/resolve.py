"""Grants and overrides to entitlements: a pure function, so that every case of it can be tried."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from .terms import Feature, Plan, Term, Value, valid_value
from .types import Allowance, Entitlements, Kind, Source


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A grant, as far as it decides anything. It holds while `starts_at <= moment < ends_at`."""

    plan: Plan
    source: Source
    starts_at: datetime
    ends_at: datetime | None
    anchor: datetime
    owing: bool = False
    id: int = 0

    def holds(self, at: datetime) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True)
class HeldOverride:
    """An override, as far as it decides anything."""

    feature: str
    value: Value
    until: datetime | None
    id: int = 0

    def holds(self, at: datetime) -> bool:
        return self.until is None or at < self.until


@dataclass(frozen=True, slots=True)
class Offer:
    """What is on offer now: the features there are, and the plans from the one everybody has to the most."""

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
class Holder:
    """Whose entitlements: `anchor` is where its months run from while it holds no grant."""

    id: UUID
    anchor: datetime
    active: bool = True


def resolve(holder: Holder, grants: Iterable[HeldGrant], overrides: Iterable[HeldOverride], now: datetime, offer: Offer) -> Entitlements:
    """What `holder` may do at `now`, and until when that is the answer.

    Of several grants the one of the best plan counts, by its place among the plans on offer, then the one that started last.
    Without a grant it is the first plan on offer.
    """
    # One that was called off before it began starts and ends at the same moment: it never was.
    grants, overrides = [grant for grant in grants if grant.starts_at != grant.ends_at], list(overrides)
    held = max((grant for grant in grants if grant.holds(now)), key=lambda grant: _weight(grant, offer), default=None)
    plan = held.plan if held else offer.plans[0]
    source = held.source if held else Source.FREE
    anchor = held.anchor if held else holder.anchor
    differing = {override.feature: override for override in sorted(overrides, key=lambda one: one.id) if override.holds(now)}
    allowances = {
        name: _allowance(name, plan=plan, source=source, anchor=anchor, offer=offer, differing=differing) for name in _names(offer, plan)
    }
    lost = max(
        (grant for grant in grants if grant.owing and grant.ends_at and grant.ends_at <= now),
        key=lambda grant: _weight(grant, offer),
        default=None,
    )
    found = Entitlements(
        organization_id=holder.id,
        active=holder.active,
        plan=plan.name,
        plan_version=plan.version,
        plan_title=plan.title,
        source=source,
        anchor=anchor,
        allowances=MappingProxyType(allowances),
        since=now,
        changes_at=_next_change(grants, overrides, now),
        owing=lost.plan.name if lost else None,
        owed=_owed(lost.plan, allowances) if lost else frozenset(),
        upgrades=MappingProxyType({name: offer.cheapest_with(name) for name, one in allowances.items() if not one.enabled}),
        etag="",
    )
    return replace(found, etag=_etag(found))


def _weight(grant: HeldGrant, offer: Offer) -> tuple[int, datetime, int]:
    return offer.rank(grant.plan), grant.starts_at, grant.id


def _owed(lost: Plan, allowances: Mapping[str, Allowance]) -> frozenset[str]:
    return frozenset(name for name in lost.features if lost.grants(name) and not (name in allowances and allowances[name].enabled))


def _names(offer: Offer, plan: Plan) -> list[str]:
    # A published version may still name a feature that is on offer no more; what was sold stays.
    return list(dict.fromkeys([*(feature.name for feature in offer.features), *plan.features]))


def _allowance(
    name: str, *, plan: Plan, source: Source, anchor: datetime, offer: Offer, differing: Mapping[str, HeldOverride]
) -> Allowance:
    declared = next((feature for feature in offer.features if feature.name == name), None)
    kind = declared.kind if declared else plan.features[name].kind
    term = plan.features.get(name, Term(kind, False if kind is Kind.FLAG else 0))
    override = differing.get(name)
    # An override made when the feature was of another kind says nothing about this one.
    counts = override is not None and valid_value(kind, override.value)
    value = override.value if override and counts else term.value
    # Overage is invoiced with a subscription; a gift has none to put it on.
    overage = term.overage if source is Source.SUBSCRIPTION and value is not None else None
    return Allowance(
        feature=name,
        kind=kind,
        enabled=Term(kind, value).grants,
        limit=None if kind is Kind.FLAG else value,
        anchor=anchor,
        on_outage=declared.on_outage if declared else "refuse",
        overage_unit_amount=overage.unit_amount if overage else None,
        overage_currency=overage.currency if overage else None,
        overridden=counts,
    )


def _next_change(grants: Iterable[HeldGrant], overrides: Iterable[HeldOverride], now: datetime) -> datetime | None:
    moments = [*(grant.starts_at for grant in grants), *(grant.ends_at for grant in grants), *(override.until for override in overrides)]
    return min((moment for moment in moments if moment and moment > now), default=None)


def _etag(found: Entitlements) -> str:
    """The same as long as the answer is; when it was asked does not matter."""
    said = [
        str(found.organization_id),
        [found.active, found.plan, found.plan_version, found.plan_title, found.source, found.owing],
        [found.anchor.isoformat(), found.changes_at.isoformat() if found.changes_at else None],
        [
            [one.feature, one.kind, one.enabled, one.limit, one.on_outage, one.overage_unit_amount, one.overage_currency, one.overridden]
            for one in found.allowances.values()
        ],
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]
