"""Plain frozen types for entitlements. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from .errors import FeatureNotAvailable, PaymentRequired, PlanInactive, UnknownFeature
from .periods import Period, month_period

FailureMode = Literal["fail_closed", "fail_open"]
RATE_WINDOW_SECONDS = 60


class Kind(StrEnum):
    """The type of a feature."""

    BOOLEAN = "boolean"  # included or not
    GAUGE = "gauge"  # a number in use at any time
    QUOTA = "quota"  # a number per usage month
    RATE_LIMIT = "rate_limit"  # a number per RATE_WINDOW_SECONDS


class Source(StrEnum):
    """The source of an organization's plan. `FREE` applies without any grant."""

    SUBSCRIPTION = "subscription"
    TRIAL = "trial"
    GIFT = "gift"
    STAFF = "staff"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class FeatureEntitlement:
    """The entitlement to one feature. `limit` is None for unlimited and boolean features. Usage months are counted from `anchor`.

    `overage_unit_amount` is the price of a unit beyond the limit in minor units of `overage_currency`, or None without overage.
    `failure_mode` decides whether calls are allowed while the database is unavailable.
    """

    feature: str
    kind: Kind
    enabled: bool
    limit: int | None
    anchor: datetime
    failure_mode: FailureMode = "fail_closed"
    overage_unit_amount: int | None = None
    overage_currency: str | None = None
    overridden: bool = False

    def period(self, at: datetime) -> Period:
        """Return the usage month that contains `at`."""
        return month_period(self.anchor, at)


@dataclass(frozen=True, slots=True)
class Entitlements:
    """All entitlements of an organization, valid while `since <= moment < changes_at` (None: no known end).

    `lapsed_plan` is the plan that lapsed because a payment failed, `lapsed_features` the features that were lost with it. `upgrades` maps
    each feature that is not enabled to the cheapest plan on offer that includes it.
    """

    organization_id: UUID
    active: bool
    plan: str
    plan_version: int
    plan_title: str
    source: Source
    anchor: datetime
    features: Mapping[str, FeatureEntitlement]
    since: datetime | None
    changes_at: datetime | None
    etag: str
    lapsed_plan: str | None = None  # the plan that lapsed because a payment failed
    lapsed_features: frozenset[str] = frozenset()  # the features that were lost with it
    upgrades: Mapping[str, str | None] = field(
        default_factory=lambda: MappingProxyType({})
    )  # feature to the cheapest public plan that has it

    def holds_at(self, moment: datetime) -> bool:
        """Return whether these entitlements are valid at `moment`."""
        return (self.since is None or self.since <= moment) and (self.changes_at is None or moment < self.changes_at)

    def require(self, feature: str) -> FeatureEntitlement:
        """Return the entitlement. Raises `UnknownFeature`, `PlanInactive`, `PaymentRequired` or `FeatureNotAvailable`."""
        entitlement = self.features.get(feature)
        if entitlement is None:
            raise UnknownFeature.named(feature)
        if not self.active:
            raise PlanInactive(feature=feature)
        if entitlement.enabled:
            return entitlement
        if feature in self.lapsed_features:
            raise PaymentRequired(feature=feature, plan=self.lapsed_plan)
        raise FeatureNotAvailable(feature=feature, plan=self.plan, available_in=self.upgrades.get(feature))


@dataclass(frozen=True, slots=True)
class GrantSpec:
    """A grant to create or update. By default `starts_at` is now and `anchor` is `starts_at`.

    `lapsed` means that the grant ends or ended because a payment failed.
    """

    plan: str
    version: int | None = None  # None: the newest published one
    reference: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    anchor: datetime | None = None
    reason: str = ""
    lapsed: bool = False
