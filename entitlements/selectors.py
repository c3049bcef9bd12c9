"""Reading plan versions, grants and overrides."""

import json
from datetime import datetime
from typing import Any

import psycopg
from django.db import connection
from django.db.models import QuerySet

from accounts.models import Organization
from accounts.revocations import watcher
from contextmcp.common.clock import now

from .cache import CACHE
from .catalog import CATALOG
from .models import Grant, Override, PlanVersion
from .news import changing
from .resolve import HeldGrant, HeldOverride, Holder, Offer, resolve
from .terms import Plan
from .types import Entitlements, Source


def read_offer() -> Offer:
    """What is on offer: of each plan in the catalogue the version published last; before that, the catalogue's own."""
    published = {version.plan: version.terms for version in PlanVersion.objects.newest()}
    return Offer(CATALOG.features, tuple(published.get(plan.name, plan) for plan in CATALOG.plans))


def offer() -> Offer:
    """The same from the copy in this process, while news of changes arrives and this transaction has made none."""
    if changing(None) or not watcher.fresh():
        watcher.start()
        return read_offer()
    kept = CACHE.offer()
    if kept is None:
        ticket = CACHE.ticket()
        kept = read_offer()
        CACHE.put_offer(ticket, kept)
    return kept


# Everything that decides, in one round trip: a row of nulls where there is neither grant nor override.
_READ = """
SELECT organization.closed_at IS NULL, row.*
FROM accounts_organization AS organization
LEFT JOIN LATERAL (
    SELECT id, plan_version_id, source, starts_at, ends_at, anchor, owing, NULL::text AS feature, NULL::text AS value
    FROM entitlements_grant
    WHERE organization_id = organization.id AND (ends_at IS NULL OR ends_at > %(at)s OR owing)
    UNION ALL
    SELECT id, NULL, NULL, NULL, until, NULL, NULL, feature, value::text
    FROM entitlements_override
    WHERE organization_id = organization.id AND ended_at IS NULL AND (until IS NULL OR until > %(at)s)
) AS row ON true
WHERE organization.id = %(id)s
"""


def read_entitlements(organization: Organization, at: datetime) -> Entitlements:
    """Resolved from the rows as they are. The caller may hold an organization that was read before it was closed."""
    active = True
    found: list[tuple[int, int, str, datetime, datetime | None, datetime, bool]] = []
    overrides: list[HeldOverride] = []
    for open_, row_id, version, source, starts, ends, anchor, owing, feature, value in _rows(organization, at):
        active = open_
        if version is not None:
            found.append((row_id, version, source, starts, ends, anchor, owing))
        elif row_id is not None:
            overrides.append(HeldOverride(feature, None if value is None else json.loads(value), ends, row_id))
    terms = _terms({version for _, version, *_ in found})
    grants = [
        HeldGrant(terms[version], Source(source), starts, ends, anchor, owing, row_id)
        for row_id, version, source, starts, ends, anchor, owing in found
    ]
    return resolve(Holder(organization.id, organization.created_at, active=active), grants, overrides, at, offer())


def _rows(organization: Organization, at: datetime) -> list[Any]:
    """On psycopg's own cursor, which prepares the statement on the server; Django's does not."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        made: psycopg.Cursor[Any] = psycopg.Cursor(connection.connection)
        return made.execute(_READ, {"at": at, "id": organization.pk}, prepare=True).fetchall()


def _terms(wanted: set[int]) -> dict[int, Plan]:
    """The terms of these plan versions; those that no organization of this process had before are read."""
    known = {version: plan for version in wanted if (plan := CACHE.terms(version)) is not None}
    if missing := wanted - known.keys():
        for version in PlanVersion.objects.filter(pk__in=missing):
            known[version.pk] = version.terms
            CACHE.put_terms(version.pk, version.terms)
    return known


def current_plans() -> tuple[Plan, ...]:
    """The plans one can choose now, from the least to the most."""
    return tuple(offer().plans)


def subscribers_of(plan_version: PlanVersion, *, source: str | None = Source.SUBSCRIPTION) -> QuerySet[Organization]:
    """The organizations with a standing grant of that version, by default through a subscription; None: through anything."""
    grants = Grant.objects.standing(at=now()).filter(plan_version=plan_version)
    if source is not None:
        grants = grants.filter(source=source)
    return Organization.objects.filter(id__in=grants.values("organization_id")).order_by("created_at")


def standing_override(organization: Organization, feature: str) -> Override | None:
    return Override.objects.filter(organization=organization, feature=feature, ended_at=None).first()
