"""What an organization may do, as plain frozen values. Nothing here knows a database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from .errors import FeatureNotAvailable, PaymentRequired, PlanInactive, UnknownFeature
from .periods import Period, month_period

OnOutage = Literal["refuse", "allow"]
RATE_WINDOW_SECONDS = 60


class Kind(StrEnum):
    """How a feature is counted."""

    FLAG = "flag"  # it is there or it is not
    LIMIT = "limit"  # a level: so many at a time
    QUOTA = "quota"  # a flow: so many a month
    RATE = "rate"  # so many in `RATE_WINDOW_SECONDS`


class Source(StrEnum):
    """Why an organization has its plan. `FREE` is what is left without any grant."""

    SUBSCRIPTION = "subscription"
    TRIAL = "trial"
    GIFT = "gift"
    STAFF = "staff"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of one feature. A `limit` of None is unlimited (or a flag); `anchor` is where monthly periods run from.

    `overage_unit_amount` is in minor units of `overage_currency`; None where nothing is sold beyond the limit.
    `on_outage` says what happens when the database cannot be reached; a feature that is allowed then is not counted exactly.
    """

    feature: str
    kind: Kind
    enabled: bool
    limit: int | None
    anchor: datetime
    on_outage: OnOutage = "refuse"
    overage_unit_amount: int | None = None
    overage_currency: str | None = None
    overridden: bool = False

    def period(self, at: datetime) -> Period:
        """The month, counted from the anchor, that `at` lies in."""
        return month_period(self.anchor, at)


@dataclass(frozen=True, slots=True)
class Entitlements:
    """Everything one organization may do, true for every moment with `since <= moment < changes_at` (None: without end).

    `owing` is the plan that was lost for want of payment, `owed` the features that went with it. `upgrades` names for each
    feature that is not enabled the cheapest plan on offer that has it.
    """

    organization_id: UUID
    active: bool
    plan: str
    plan_version: int
    plan_title: str
    source: Source
    anchor: datetime
    allowances: Mapping[str, Allowance]
    since: datetime | None
    changes_at: datetime | None
    etag: str
    owing: str | None = None  # the plan that was lost for want of payment
    owed: frozenset[str] = frozenset()  # the features that went with it
    upgrades: Mapping[str, str | None] = field(
        default_factory=lambda: MappingProxyType({})
    )  # feature to the cheapest public plan that has it

    def holds_at(self, moment: datetime) -> bool:
        """Whether this is still the answer at `moment`."""
        return (self.since is None or self.since <= moment) and (self.changes_at is None or moment < self.changes_at)

    def require(self, feature: str) -> Allowance:
        """The allowance, or `UnknownFeature`, `PlanInactive`, `PaymentRequired` or `FeatureNotAvailable`."""
        allowance = self.allowances.get(feature)
        if allowance is None:
            raise UnknownFeature.named(feature)
        if not self.active:
            raise PlanInactive(feature=feature)
        if allowance.enabled:
            return allowance
        if feature in self.owed:
            raise PaymentRequired(feature=feature, plan=self.owing)
        raise FeatureNotAvailable(feature=feature, plan=self.plan, available_in=self.upgrades.get(feature))


@dataclass(frozen=True, slots=True)
class GrantSpec:
    """A grant as it ought to stand. `starts_at` and `anchor` of None mean now and `starts_at`.

    `owing` says that it ends, or ended, because a payment failed.
    """

    plan: str
    version: int | None = None  # None: the newest published one
    reference: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    anchor: datetime | None = None
    reason: str = ""
    owing: bool = False
