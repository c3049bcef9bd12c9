"""The public interface of the entitlements app."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from accounts.invalidation import watcher
from accounts.models import Organization
from contextmcp.common.clock import now

from . import selectors
from .cache import CACHE
from .catalog_schema import Plan, Value
from .invalidation import changed_in_transaction
from .models import Grant, Override, PlanVersion
from .resolve import GrantInput
from .services import grants, overrides
from .services.actor import Actor
from .services.publish import version_of
from .types import Entitlements, FeatureEntitlement, GrantSpec, Source


class EntitlementsManager:
    """The entitlements, grants and overrides of one organization."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    def entitlements(self) -> Entitlements:
        """Return the entitlements at `now(organization)`, from the cache if it is fresh."""
        organization, at = self.organization, now(self.organization)
        entitlements = self.cached(organization.id, at)
        if entitlements is None:
            if changed_in_transaction(organization.id):
                return selectors.read_entitlements(organization, at)
            generation = CACHE.generation()
            entitlements = selectors.read_entitlements(organization, at)
            CACHE.put(generation, entitlements)
        return entitlements

    @staticmethod
    def cached(organization_id: UUID, at: datetime, *, stale: bool = False) -> Entitlements | None:
        """Return the cached entitlements if they are valid at `at`. Does no I/O, so it can be called on an event loop.

        Returns None if the current transaction has changed the entitlements. Also returns None if the last successful poll of the
        invalidation log is more than a second old, unless `stale` is true: then cached entries of any age are accepted.
        """
        watcher.start()
        if changed_in_transaction(organization_id):
            return None
        return CACHE.get(organization_id, at) if stale or watcher.is_fresh() else None

    def next_plan(self) -> tuple[datetime, Entitlements] | None:
        """Return when the grants change the plan next, and the entitlements from then on; None if no change of the plan is known."""
        at = now(self.organization)
        inputs = selectors.read_inputs(self.organization, at)
        current = upcoming = selectors.resolve_inputs(self.organization, inputs, at)
        while upcoming.changes_at is not None:
            moment = upcoming.changes_at
            upcoming = selectors.resolve_inputs(self.organization, inputs, moment)
            if upcoming.plan != current.plan:
                return moment, upcoming
        return None

    def with_subscription(self, plan: str | None, at: datetime) -> Entitlements:
        """Return the entitlements at `at` if the subscription gave the newest version of `plan` then, or ended (None).

        Other grants and the overrides apply as well.
        """
        inputs = selectors.read_inputs(self.organization, now(self.organization))
        grants = [grant for grant in inputs.grants if grant.source is not Source.SUBSCRIPTION]
        if plan is not None:
            grants.append(GrantInput(self.version(plan).terms, Source.SUBSCRIPTION, at, None, at))
        return selectors.resolve_inputs(self.organization, replace(inputs, grants=grants), at)

    def require(self, feature: str) -> FeatureEntitlement:
        """Return the entitlement to a feature. Raises `FeatureNotAvailable`, `PlanInactive`, `PaymentRequired` or `UnknownFeature`."""
        return self.entitlements().require(feature)

    def grants(self) -> QuerySet[Grant]:
        """Return all grants, including ended ones, latest first."""
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
        """Grant a plan, by default its newest version and from now. Raises `ValidationFailed` (a gift or staff grant needs a reason)."""
        name, version = (plan.plan, plan.version) if isinstance(plan, PlanVersion) else (plan, None)
        spec = GrantSpec(name, version, reference, starts_at, ends_at, anchor, reason)
        return grants.give_grant(self.organization, source, spec, actor)

    def end_grant(self, grant: Grant, actor: Actor = None, *, reason: str = "", at: datetime | None = None) -> Grant:
        """End a grant now or at the later time `at`. Raises `AlreadyEnded`."""
        return grants.end_grant(grant, actor, reason=reason, at=at)

    def replace_grants(self, source: str, specs: Iterable[GrantSpec], actor: Actor = None) -> list[Grant]:
        """Make the active and future grants of `source` match `specs`. Idempotent. Other grants of the source are ended, not deleted.

        A subscription in its trial also has the source `subscription`, because only that source can have overage. For a subscription that
        lapsed because a payment failed, pass a spec with its past `ends_at` and `lapsed=True` while it can still be paid.
        """
        return grants.replace_grants(self.organization, source, specs, actor)

    def override(self, feature: str, value: Value, *, reason: str, ends_at: datetime | None = None, actor: Actor = None) -> Override:
        """Set the organization's value of `feature` from now on (None: unlimited). Raises `UnknownFeature`, `ValidationFailed`."""
        return overrides.give_override(self.organization, feature, value, reason=reason, ends_at=ends_at, actor=actor)

    def end_override(self, override: Override, actor: Actor = None, *, reason: str = "") -> Override:
        """End an override, so that the plan's value applies again. Raises `AlreadyEnded`."""
        return overrides.end_override(override, actor, reason=reason)

    @staticmethod
    def plans() -> tuple[Plan, ...]:
        """Return the plans on offer as published, in ascending order."""
        return selectors.current_plans()

    @staticmethod
    def version(plan: str, version: int | None = None) -> PlanVersion:
        """Return the published version of a plan, by default the newest. Raises `UnknownPlan`."""
        return version_of(plan, version)

    @staticmethod
    def subscribers_of(plan_version: PlanVersion, *, source: str | None = Source.SUBSCRIPTION) -> QuerySet[Organization]:
        """Return organizations with an active or future grant of the version, by default from a subscription; None means any source."""
        return selectors.subscribers_of(plan_version, source=source)
