"""Create and end grants. Each change locks the organization, writes an audit event and invalidates caches."""

from collections.abc import Iterable
from dataclasses import replace as changed
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.audit import record
from accounts.errors import OrganizationClosed
from accounts.models import Organization
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed
from entitlements.errors import AlreadyEnded
from entitlements.invalidation import invalidate
from entitlements.models import Grant
from entitlements.selectors import read_entitlements
from entitlements.types import GrantSpec, Source

from .actor import Actor, acting_user
from .publish import version_of


def lock(organization: Organization) -> None:
    """Lock the organization against other changes of its grants until the transaction ends.

    Other transactions can still write rows that reference the organization.
    """
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)


def lock_open(organization: Organization) -> None:
    """Lock the organization as `lock` does. Raises `OrganizationClosed` if it is closed."""
    if Organization.objects.select_for_update(no_key=True).get(pk=organization.pk).closed_at is not None:
        raise OrganizationClosed("This organization is closed. It cannot be given grants or overrides.")


def give_grant(organization: Organization, source: str, spec: GrantSpec, actor: Actor = None) -> Grant:
    """Create a grant. If the organization already has the plan, its usage months continue (ADR-005), unless the spec has an anchor.

    Raises `ValidationFailed` if the end is not after the start or a reason is missing, and `OrganizationClosed`.
    """
    present = now(organization)
    spec = changed(spec, starts_at=spec.starts_at or present)
    if spec.ends_at and spec.starts_at and spec.ends_at <= spec.starts_at:
        raise ValidationFailed(errors=[{"field": "endsAt", "message": "The end must be after the start."}])
    if source in (Source.GIFT, Source.STAFF) and not spec.reason.strip():
        raise ValidationFailed(errors=[{"field": "reason", "message": "Enter a reason."}])
    with transaction.atomic():
        lock_open(organization)
        effective = read_entitlements(organization, present)
        before = {"plan": f"{effective.plan} v{effective.plan_version}", "source": str(effective.source)}
        spec = changed(spec, anchor=spec.anchor or _running_anchor(organization, spec))
        grant = _create(organization, source, spec, actor, before)
        invalidate(organization.id)
    return grant


def _running_anchor(organization: Organization, spec: GrantSpec) -> datetime | None:
    """Return the anchor of the active grant of the same plan when `spec` starts, or None."""
    assert spec.starts_at is not None
    held = organization.grants.active(at=spec.starts_at).filter(plan_version__plan=spec.plan)
    # The same precedence as in `resolve`: a subscription first, then the grant that started last.
    first = max(held, key=lambda grant: (grant.source == Source.SUBSCRIPTION, grant.starts_at, grant.id), default=None)
    return first.anchor if first else None


def end_grant(grant: Grant, actor: Actor = None, *, reason: str = "", at: datetime | None = None) -> Grant:
    """End a grant now, or at the later time `at`. Raises `AlreadyEnded`."""
    with transaction.atomic():
        lock(grant.organization)
        grant.refresh_from_db()
        present = now(grant.organization)
        if grant.ends_at and grant.ends_at <= present:
            raise AlreadyEnded
        _end(grant, max(at or present, present), actor, reason)
        invalidate(grant.organization_id)
    return grant


def replace_grants(organization: Organization, source: str, specs: Iterable[GrantSpec], actor: Actor = None) -> list[Grant]:
    """Make the active and future grants of `source` match `specs`; other grants of the source end now. Idempotent.

    A spec matches a stored grant with the same reference and plan version that has not ended. An ended grant is not reopened, because
    the history would then show access that did not exist; a new grant starts now.
    """
    with transaction.atomic():
        lock(organization)
        present = now(organization)
        rows = list(organization.grants.filter(source=source).select_related("plan_version").order_by("-starts_at", "-id"))
        result: list[Grant] = []
        ended: dict[str, datetime] = {}
        has_changes = False
        for spec in specs:
            version = version_of(spec.plan, spec.version)
            same = [row for row in rows if (row.reference, row.plan_version_id) == (spec.reference, version.pk) and row not in result]
            over = spec.ends_at is not None and spec.ends_at <= present
            if spec.reference and spec.ends_at and over:
                ended[spec.reference] = spec.ends_at
            usable = next((row for row in same if over or _has_not_ended(row, present)), None)
            if usable:
                has_changes |= _adjust(usable, _not_longer(spec, usable) if over else spec, actor)
                result.append(usable)
            elif not over or spec.lapsed:
                # A previous grant of the same reference ends now at the latest, so that the history never has two plans at a time.
                known = same or any(row.reference == spec.reference for row in rows if spec.reference and not over)
                begun = present if known else spec.starts_at or present
                result.append(_create(organization, source, changed(spec, starts_at=begun), actor))
                has_changes = True
        for row in rows:
            if row not in result:
                # If the end of the reference is known, its other grants ended at the same time.
                has_changes |= _end_unlisted(row, present, ended.get(row.reference, present), actor)
        if has_changes:
            invalidate(organization.id)
    return result


def _not_longer(spec: GrantSpec, grant: Grant) -> GrantSpec:
    """Return `spec` with an end that is not after the stored end, because an ended grant must not be extended."""
    assert spec.ends_at is not None
    return changed(spec, ends_at=min(grant.ends_at or spec.ends_at, spec.ends_at))


def _has_not_ended(grant: Grant, at: datetime) -> bool:
    return grant.ends_at is None or grant.ends_at > at


def _create(organization: Organization, source: str, spec: GrantSpec, actor: Actor, before: dict[str, Any] | None = None) -> Grant:
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
        lapsed=spec.lapsed,
        created_by=acting_user(actor),
    )
    target, after = f"grant:{grant.pk}", _document(grant)
    record("grant.created", organization=organization, actor=actor, target=target, before=before, after=after, reason=spec.reason)
    return grant


def _adjust(grant: Grant, spec: GrantSpec, actor: Actor) -> bool:
    before = _document(grant)
    grant.ends_at = max(spec.ends_at, grant.starts_at) if spec.ends_at else None
    grant.anchor = spec.anchor or grant.anchor
    grant.reason, grant.lapsed = spec.reason, spec.lapsed
    after = _document(grant)
    if before == after:
        return False
    grant.save(update_fields=["ends_at", "anchor", "reason", "lapsed"])
    record("grant.changed", organization=grant.organization, actor=actor, target=f"grant:{grant.pk}", before=before, after=after)
    return True


def _end_unlisted(grant: Grant, present: datetime, at: datetime, actor: Actor) -> bool:
    if _has_not_ended(grant, present):
        _end(grant, at, actor)
        return True
    if grant.lapsed:
        # The invoice was paid or written off. The grant keeps its dates.
        return _adjust(grant, GrantSpec(grant.plan_version.plan, ends_at=grant.ends_at, reason=grant.reason), actor)
    return False


def _end(grant: Grant, at: datetime, actor: Actor, reason: str = "") -> None:
    before = _document(grant)
    # A grant that has not started gets an empty period.
    grant.ends_at = max(at, grant.starts_at)
    grant.lapsed = False
    grant.save(update_fields=["ends_at", "lapsed"])
    target = f"grant:{grant.pk}"
    record("grant.ended", organization=grant.organization, actor=actor, target=target, before=before, after=_document(grant), reason=reason)


def _document(grant: Grant) -> dict[str, Any]:
    return {
        "plan": str(grant.plan_version),
        "source": str(grant.source),
        "starts_at": grant.starts_at.isoformat(),
        "ends_at": grant.ends_at.isoformat() if grant.ends_at else None,
        "anchor": grant.anchor.isoformat(),
        "reason": grant.reason,
        "lapsed": grant.lapsed,
    }
