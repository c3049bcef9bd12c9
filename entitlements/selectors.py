"""Queries for plan versions, grants and overrides."""

import json
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from accounts.invalidation import watcher
from accounts.models import Organization
from contextmcp.common.clock import now
from contextmcp.common.db import fetch_prepared

from .cache import CACHE
from .catalog import CATALOG
from .catalog_schema import Plan
from .invalidation import changed_in_transaction
from .models import Grant, Override, PlanVersion
from .resolve import GrantInput, OverrideInput, PlanCatalog, Subject, resolve
from .types import Entitlements, Source


def read_plan_catalog() -> PlanCatalog:
    """Return the plans on offer: the latest published version of each plan in the catalog, or the declared plan if none is published."""
    published = {version.plan: version.terms for version in PlanVersion.objects.newest()}
    return PlanCatalog(CATALOG.features, tuple(published.get(plan.name, plan) for plan in CATALOG.plans))


def plan_catalog() -> PlanCatalog:
    """Return the plans on offer, from the cache if it is fresh and the current transaction did not change them."""
    if changed_in_transaction(None) or not watcher.is_fresh():
        watcher.start()
        return read_plan_catalog()
    catalog = CACHE.catalog()
    if catalog is None:
        generation = CACHE.generation()
        catalog = read_plan_catalog()
        CACHE.put_catalog(generation, catalog)
    return catalog


# All grants and overrides in one round trip. There is one row of nulls if the organization has none.
_SELECT_ENTITLEMENTS = """
SELECT organization.closed_at IS NULL, row.*
FROM accounts_organization AS organization
LEFT JOIN LATERAL (
    SELECT id, plan_version_id, source, starts_at, ends_at, anchor, lapsed, NULL::text AS feature, NULL::text AS value
    FROM entitlements_grant
    WHERE organization_id = organization.id AND (ends_at IS NULL OR ends_at > %(at)s OR lapsed)
    UNION ALL
    SELECT id, NULL, NULL, NULL, ends_at, NULL, NULL, feature, value::text
    FROM entitlements_override
    WHERE organization_id = organization.id AND ended_at IS NULL AND (ends_at IS NULL OR ends_at > %(at)s)
) AS row ON true
WHERE organization.id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class EntitlementInputs:
    """What `resolve` reads of one organization: whether it is open, its grants, and its overrides."""

    active: bool
    grants: list[GrantInput]
    overrides: list[OverrideInput]


def read_inputs(organization: Organization, at: datetime) -> EntitlementInputs:
    """Read the lapsed grants, and the grants and overrides that apply at `at` or later.

    Whether the organization is closed is read from the database, too, because `organization` may be outdated.
    """
    active = True
    grant_rows: list[tuple[int, int, str, datetime, datetime | None, datetime, bool]] = []
    overrides: list[OverrideInput] = []
    rows = fetch_prepared(_SELECT_ENTITLEMENTS, {"at": at, "id": organization.pk})
    for open_, row_id, version, source, starts, ends, anchor, lapsed, feature, value in rows:
        active = open_
        if version is not None:
            grant_rows.append((row_id, version, source, starts, ends, anchor, lapsed))
        elif row_id is not None:
            overrides.append(OverrideInput(feature, None if value is None else json.loads(value), ends, row_id))
    definitions = _definitions({version for _, version, *_ in grant_rows})
    grants = [
        GrantInput(definitions[version], Source(source), starts, ends, anchor, lapsed, row_id)
        for row_id, version, source, starts, ends, anchor, lapsed in grant_rows
    ]
    return EntitlementInputs(active, grants, overrides)


def resolve_inputs(organization: Organization, inputs: EntitlementInputs, at: datetime) -> Entitlements:
    """Return the entitlements that result from the inputs at `at`. Staff actions pass modified inputs for a preview."""
    subject = Subject(organization.id, organization.created_at, active=inputs.active)
    return resolve(subject, inputs.grants, inputs.overrides, at, plan_catalog())


def read_entitlements(organization: Organization, at: datetime) -> Entitlements:
    """Resolve the entitlements from the database. `organization` may be outdated: whether it is closed is read from the database."""
    return resolve_inputs(organization, read_inputs(organization, at), at)


def _definitions(version_ids: set[int]) -> dict[int, Plan]:
    """Return the definitions of plan versions, from the cache or the database."""
    plans = {version: plan for version in version_ids if (plan := CACHE.plan_definition(version)) is not None}
    if missing := version_ids - plans.keys():
        for version in PlanVersion.objects.filter(pk__in=missing):
            plans[version.pk] = version.terms
            CACHE.put_plan_definition(version.pk, version.terms)
    return plans


def current_plans() -> tuple[Plan, ...]:
    """Return the plans on offer in ascending order."""
    return tuple(plan_catalog().plans)


def subscribers_of(plan_version: PlanVersion, *, source: str | None = Source.SUBSCRIPTION) -> QuerySet[Organization]:
    """Return organizations with an active or future grant of the version, by default from a subscription; None means any source."""
    grants = Grant.objects.current_or_future(at=now()).filter(plan_version=plan_version)
    if source is not None:
        grants = grants.filter(source=source)
    return Organization.objects.filter(id__in=grants.values("organization_id")).order_by("created_at")


def current_override(organization: Organization, feature: str) -> Override | None:
    """Return the override of the organization's feature that was not ended, or None. Its scheduled end may have passed."""
    return Override.objects.filter(organization=organization, feature=feature, ended_at=None).first()
