"""The façade: what an organization may do, and why."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Organization
from accounts.revocations import watcher
from contextmcp.common.clock import now

from . import selectors
from .cache import CACHE
from .models import Grant, Override, PlanVersion
from .news import changing
from .services import grants, overrides
from .services.actor import Actor
from .services.publish import version_of
from .terms import Plan, Value
from .types import Allowance, Entitlements, GrantSpec, Source


class EntitlementsManager:
    """Everything about what one organization may do."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    def entitlements(self) -> Entitlements:
        """As of `now(organization)`; from this process's copy where there is one and news of changes arrives."""
        organization, at = self.organization, now(self.organization)
        if changing(organization.id):
            return selectors.read_entitlements(organization, at)
        kept = self.cached(organization.id, at)
        if kept is None:
            ticket = CACHE.ticket()
            kept = selectors.read_entitlements(organization, at)
            CACHE.put(ticket, kept)
        return kept

    @staticmethod
    def cached(organization_id: UUID, at: datetime, *, stale: bool = False) -> Entitlements | None:
        """This process's copy, if it is the answer at that moment. Touches no database, so an event loop may ask.

        None when no news arrived from the database for a second, unless `stale` accepts what was last known.
        """
        watcher.start()
        return CACHE.get(organization_id, at) if stale or watcher.fresh() else None

    def require(self, feature: str) -> Allowance:
        """The allowance, or `FeatureNotAvailable`, `PlanInactive`, `PaymentRequired`; `UnknownFeature` for a name that is none."""
        return self.entitlements().require(feature)

    def grants(self) -> QuerySet[Grant]:
        """All there ever were, the latest first."""
        return self.organization.grants.select_related("plan_version")

    def grant(
        self,
        plan: str | PlanVersion,
        source: str = Source.STAFF,
        *,
        reason: str = "",
        reference: str = "",
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        anchor: datetime | None = None,
        actor: Actor = None,
    ) -> Grant:
        """Give a plan, from now unless said otherwise; by name, its newest version. Gift and staff grants need a reason."""
        name, version = (plan.plan, plan.version) if isinstance(plan, PlanVersion) else (plan, None)
        spec = GrantSpec(name, version, reference, starts_at, ends_at, anchor, reason)
        return grants.give(self.organization, source, spec, actor)

    def end_grant(self, grant: Grant, actor: Actor = None, *, reason: str = "", at: datetime | None = None) -> Grant:
        """End it now or at a later moment; `AlreadyEnded` if it had."""
        return grants.end(grant, actor, reason=reason, at=at)

    def replace_grants(self, source: str, wanted: Iterable[GrantSpec], actor: Actor = None) -> list[Grant]:
        """Make the standing grants of `source` equal to `wanted`. Repeating it changes nothing; nothing is deleted.

        A subscription in its trial is a `subscription` too: only that source may have overage. One lost for want of payment is
        wanted with its past `ends_at` and `owing=True` for as long as it can still be paid.
        """
        return grants.replace(self.organization, source, wanted, actor)

    def override(self, feature: str, value: Value, *, reason: str, until: datetime | None = None, actor: Actor = None) -> Override:
        """From now this organization has `feature` with this value (None: unlimited)."""
        return overrides.give(self.organization, feature, value, reason=reason, until=until, actor=actor)

    def end_override(self, override: Override, actor: Actor = None) -> Override:
        """The plan's own value counts again; `AlreadyEnded` if it did."""
        return overrides.end(override, actor)

    @staticmethod
    def plans() -> tuple[Plan, ...]:
        """The plans one can choose now, as published, from the least to the most."""
        return selectors.current_plans()

    @staticmethod
    def version(plan: str, version: int | None = None) -> PlanVersion:
        """The published version of a plan, by default the newest; `UnknownPlan` where there is none."""
        return version_of(plan, version)

    @staticmethod
    def subscribers_of(plan_version: PlanVersion, *, source: str | None = Source.SUBSCRIPTION) -> QuerySet[Organization]:
        """The organizations with a standing grant of that version, by default through a subscription; None: through anything."""
        return selectors.subscribers_of(plan_version, source=source)
