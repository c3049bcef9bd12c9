"""Calculate what a grant or an override by staff would change, without writing anything."""

from dataclasses import dataclass, replace
from datetime import datetime

from accounts.models import Organization
from contextmcp.common.clock import now
from entitlements import selectors
from entitlements.catalog_schema import Value
from entitlements.errors import GrantTakesAway
from entitlements.models import Grant, Override, PlanVersion
from entitlements.resolve import GrantInput, OverrideInput
from entitlements.types import Entitlements, FeatureEntitlement, Source

# Greater than any id, so that a row of a preview counts as the newest.
_NEWEST = 2**63


@dataclass(frozen=True, slots=True)
class EntitlementChange:
    """The current entitlements, and those after the change."""

    before: Entitlements
    after: Entitlements

    @property
    def changed_features(self) -> list[tuple[FeatureEntitlement | None, FeatureEntitlement | None]]:
        """Return the features whose value differs, as pairs of before and after. A value is None if the plan does not have the feature."""
        names = dict.fromkeys([*self.before.features, *self.after.features])
        pairs = [(self.before.features.get(name), self.after.features.get(name)) for name in names]
        return [(old, new) for old, new in pairs if old is None or new is None or (old.enabled, old.limit) != (new.enabled, new.limit)]


def preview_grant(organization: Organization, version: PlanVersion, source: str, ends_at: datetime | None) -> EntitlementChange:
    """Return the effect of a grant from now on.

    Raises `GrantTakesAway` if the organization pays for a plan and the grant would lower one of its limits, or end overage that it needs.
    """
    at = now(organization)
    inputs = selectors.read_inputs(organization, at)
    before = selectors.resolve_inputs(organization, inputs, at)
    grant = GrantInput(version.terms, Source(source), at, ends_at, before.anchor, id=_NEWEST)
    after = selectors.resolve_inputs(organization, replace(inputs, grants=[*inputs.grants, grant]), at)
    if before.source is Source.SUBSCRIPTION and after.source is not Source.SUBSCRIPTION:
        lowered = [one.feature for one in before.features.values() if _takes_away(one, after.features.get(one.feature))]
        if lowered:
            raise GrantTakesAway(features=lowered)
    return EntitlementChange(before, after)


def preview_end_of_grant(organization: Organization, grant: Grant) -> EntitlementChange:
    """Return the effect of ending a grant now."""
    at = now(organization)
    inputs = selectors.read_inputs(organization, at)
    rest = [each for each in inputs.grants if each.id != grant.pk]
    before = selectors.resolve_inputs(organization, inputs, at)
    return EntitlementChange(before, selectors.resolve_inputs(organization, replace(inputs, grants=rest), at))


def preview_override(organization: Organization, feature: str, value: Value, ends_at: datetime | None) -> EntitlementChange:
    """Return the effect of an override from now on."""
    at = now(organization)
    inputs = selectors.read_inputs(organization, at)
    overrides = [*(each for each in inputs.overrides if each.feature != feature), OverrideInput(feature, value, ends_at, _NEWEST)]
    before = selectors.resolve_inputs(organization, inputs, at)
    return EntitlementChange(before, selectors.resolve_inputs(organization, replace(inputs, overrides=overrides), at))


def preview_end_of_override(organization: Organization, override: Override) -> EntitlementChange:
    """Return the effect of ending an override now."""
    at = now(organization)
    inputs = selectors.read_inputs(organization, at)
    rest = [each for each in inputs.overrides if each.id != override.pk]
    before = selectors.resolve_inputs(organization, inputs, at)
    return EntitlementChange(before, selectors.resolve_inputs(organization, replace(inputs, overrides=rest), at))


def _takes_away(paid: FeatureEntitlement, given: FeatureEntitlement | None) -> bool:
    """Return whether the customer would get less of a feature than they pay for.

    Losing overage counts as less, unless the new limit is unlimited.
    """
    if not paid.enabled:
        return False
    if given is None or not given.enabled:
        return True
    if given.limit is None:
        return False
    if paid.limit is None:
        return paid.kind == given.kind
    return given.limit < paid.limit or (paid.overage_unit_amount is not None and given.overage_unit_amount is None)
