"""Reading plan versions, grants and overrides."""

from datetime import datetime

from django.db.models import Q, QuerySet

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


def read_entitlements(organization: Organization, at: datetime) -> Entitlements:
    """Resolved from the rows as they are."""
    # The caller may hold an organization read before it was closed.
    closed = Organization.objects.filter(pk=organization.pk, closed_at__isnull=False).exists()
    grants = organization.grants.filter(Q(ends_at=None) | Q(ends_at__gt=at) | Q(owing=True)).select_related("plan_version")
    overrides = organization.overrides.standing(at=at)
    return resolve(
        Holder(organization.id, organization.created_at, active=not closed),
        [held(grant) for grant in grants],
        [HeldOverride(one.feature, one.value, one.until, one.pk) for one in overrides],
        at,
        offer(),
    )


def held(grant: Grant) -> HeldGrant:
    return HeldGrant(
        plan=grant.plan_version.terms,
        source=Source(grant.source),
        starts_at=grant.starts_at,
        ends_at=grant.ends_at,
        anchor=grant.anchor,
        owing=grant.owing,
        id=grant.pk,
    )


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
