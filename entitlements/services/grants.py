"""Giving and ending grants. Every change locks the organization, leaves an audit event and reaches every copy."""

from collections.abc import Iterable
from dataclasses import replace as changed
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.audit import record
from accounts.models import Organization
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed
from entitlements.errors import AlreadyEnded
from entitlements.models import Grant
from entitlements.news import announce
from entitlements.types import GrantSpec, Source

from .actor import Actor, person
from .publish import version_of


def lock(organization: Organization) -> None:
    """Until the transaction ends, no other changes this organization's grants. Rows that point to it can still be written."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)


def give(organization: Organization, source: str, spec: GrantSpec, actor: Actor = None) -> Grant:
    """A new grant. `ValidationFailed` where it would end before it starts, or a gift has no reason."""
    present = now(organization)
    spec = changed(spec, starts_at=spec.starts_at or present)
    if spec.ends_at and spec.starts_at and spec.ends_at <= spec.starts_at:
        raise ValidationFailed(errors=[{"field": "endsAt", "message": "A grant ends after it starts."}])
    if source in (Source.GIFT, Source.STAFF) and not spec.reason.strip():
        raise ValidationFailed(errors=[{"field": "reason", "message": "Say why it is given."}])
    with transaction.atomic():
        lock(organization)
        grant = _create(organization, source, spec, actor)
        announce(organization.id)
    return grant


def end(grant: Grant, actor: Actor = None, *, reason: str = "", at: datetime | None = None) -> Grant:
    """End it now, or at a moment to come. `AlreadyEnded` if it had."""
    with transaction.atomic():
        lock(grant.organization)
        grant.refresh_from_db()
        present = now(grant.organization)
        if grant.ends_at and grant.ends_at <= present:
            raise AlreadyEnded
        _end(grant, max(at or present, present), actor, reason)
        announce(grant.organization_id)
    return grant


def replace(organization: Organization, source: str, wanted: Iterable[GrantSpec], actor: Actor = None) -> list[Grant]:
    """Make the standing grants of `source` equal to `wanted`; what is not wanted ends now. Repeating it changes nothing.

    A wanted grant is the stored one with the same reference and plan version, if that still stands. One that ended is not
    opened again, for then history would show access there was not: a new one starts now.
    """
    with transaction.atomic():
        lock(organization)
        present = now(organization)
        rows = list(organization.grants.filter(source=source).select_related("plan_version").order_by("-starts_at", "-id"))
        kept: list[Grant] = []
        ended: dict[str, datetime] = {}
        news = False
        for spec in wanted:
            version = version_of(spec.plan, spec.version)
            same = [row for row in rows if (row.reference, row.plan_version_id) == (spec.reference, version.pk) and row not in kept]
            over = spec.ends_at is not None and spec.ends_at <= present
            if spec.reference and spec.ends_at and over:
                ended[spec.reference] = spec.ends_at
            usable = next((row for row in same if over or _stands(row, present)), None)
            if usable:
                news |= _adjust(usable, _not_longer(spec, usable) if over else spec, actor)
                kept.append(usable)
            elif not over or spec.owing:
                # What it stood for before, this plan or another, ends now at the latest: history must not show two plans at a time.
                known = same or any(row.reference == spec.reference for row in rows if spec.reference and not over)
                begun = present if known else spec.starts_at or present
                kept.append(_create(organization, source, changed(spec, starts_at=begun), actor))
                news = True
        for row in rows:
            if row not in kept:
                # Where it is known when it was over, that is when its former plan was over too.
                news |= _let_go(row, present, ended.get(row.reference, present), actor)
        if news:
            announce(organization.id)
    return kept


def _not_longer(spec: GrantSpec, grant: Grant) -> GrantSpec:
    """Nor is one that ended drawn out: what it stood for may have gone on, access did not."""
    assert spec.ends_at is not None
    return changed(spec, ends_at=min(grant.ends_at or spec.ends_at, spec.ends_at))


def _stands(grant: Grant, at: datetime) -> bool:
    return grant.ends_at is None or grant.ends_at > at


def _create(organization: Organization, source: str, spec: GrantSpec, actor: Actor) -> Grant:
    assert spec.starts_at is not None
    grant = Grant.objects.create(
        organization=organization,
        plan_version=version_of(spec.plan, spec.version),
        source=source,
        reference=spec.reference,
        starts_at=spec.starts_at,
        ends_at=max(spec.ends_at, spec.starts_at) if spec.ends_at else None,
        anchor=spec.anchor or spec.starts_at,
        reason=spec.reason,
        owing=spec.owing,
        created_by=person(actor),
    )
    record("grant.given", organization=organization, actor=actor, target=f"grant:{grant.pk}", after=_told(grant))
    return grant


def _adjust(grant: Grant, spec: GrantSpec, actor: Actor) -> bool:
    before = _told(grant)
    grant.ends_at = max(spec.ends_at, grant.starts_at) if spec.ends_at else None
    grant.anchor = spec.anchor or grant.anchor
    grant.reason, grant.owing = spec.reason, spec.owing
    after = _told(grant)
    if before == after:
        return False
    grant.save(update_fields=["ends_at", "anchor", "reason", "owing"])
    record("grant.changed", organization=grant.organization, actor=actor, target=f"grant:{grant.pk}", before=before, after=after)
    return True


def _let_go(grant: Grant, present: datetime, at: datetime, actor: Actor) -> bool:
    if _stands(grant, present):
        _end(grant, at, actor)
        return True
    if grant.owing:
        # The debt was paid or given up; the row keeps its dates.
        return _adjust(grant, GrantSpec(grant.plan_version.plan, ends_at=grant.ends_at, reason=grant.reason), actor)
    return False


def _end(grant: Grant, at: datetime, actor: Actor, reason: str = "") -> None:
    before = _told(grant)
    # One that has not begun never does.
    grant.ends_at = max(at, grant.starts_at)
    grant.owing = False
    grant.save(update_fields=["ends_at", "owing"])
    after = _told(grant) | ({"why": reason} if reason else {})
    record("grant.ended", organization=grant.organization, actor=actor, target=f"grant:{grant.pk}", before=before, after=after)


def _told(grant: Grant) -> dict[str, Any]:
    return {
        "plan": str(grant.plan_version),
        "source": str(grant.source),
        "starts_at": grant.starts_at.isoformat(),
        "ends_at": grant.ends_at.isoformat() if grant.ends_at else None,
        "anchor": grant.anchor.isoformat(),
        "reason": grant.reason,
        "owing": grant.owing,
    }
