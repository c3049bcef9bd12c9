"""Create and end overrides of single features."""

from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.audit import record
from accounts.models import Organization
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed
from entitlements.catalog import CATALOG
from entitlements.catalog_schema import Value, valid_value
from entitlements.errors import AlreadyEnded, UnknownFeature
from entitlements.invalidation import invalidate
from entitlements.models import Override
from entitlements.selectors import current_override, read_entitlements
from entitlements.types import Kind

from .actor import Actor, acting_user
from .grants import lock, lock_open


def give_override(
    organization: Organization, feature: str, value: Value, *, reason: str, ends_at: datetime | None = None, actor: Actor = None
) -> Override:
    """Set the organization's value of `feature` from now (None: unlimited) until `ends_at`. An earlier override of the feature ends.

    Raises `UnknownFeature`, `ValidationFailed`, and `OrganizationClosed` for a closed organization.
    """
    declared = CATALOG.feature(feature)
    if declared is None:
        raise UnknownFeature.named(feature)
    errors = []
    if not valid_value(declared.kind, value):
        errors.append(
            {
                "field": "value",
                "message": "Enter true or false for a boolean feature, or a whole number of 0 or more for others. Empty means unlimited.",
            }
        )
    if not reason.strip():
        errors.append({"field": "reason", "message": "Enter a reason."})
    if ends_at is not None and ends_at <= now(organization):
        errors.append({"field": "endsAt", "message": "Enter a time in the future."})
    if errors:
        raise ValidationFailed(errors=errors)
    with transaction.atomic():
        lock_open(organization)
        former = current_override(organization, feature)
        before = {"value": former.value if former else _effective_value(organization, feature)}
        if former:
            _end(former)
        override = Override.objects.create(
            organization=organization,
            feature=feature,
            value=value,
            ends_at=ends_at,
            reason=reason,
            created_by=acting_user(actor),
        )
        record(
            "override.created",
            organization=organization,
            actor=actor,
            target=feature,
            before=before,
            after={"value": value, "ends_at": ends_at.isoformat() if ends_at else None, "reason": reason},
            reason=reason,
        )
        invalidate(organization.id)
    return override


def end_override(override: Override, actor: Actor = None, *, reason: str = "") -> Override:
    """End an override, so that the plan's value applies again. Raises `AlreadyEnded`."""
    with transaction.atomic():
        lock(override.organization)
        override.refresh_from_db()
        if override.ended_at or (override.ends_at and override.ends_at <= now(override.organization)):
            raise AlreadyEnded
        before = _document(override)
        _end(override)
        record(
            "override.ended",
            organization=override.organization,
            actor=actor,
            target=override.feature,
            before=before,
            after=_document(override),
            reason=reason,
        )
        invalidate(override.organization_id)
    return override


def _effective_value(organization: Organization, feature: str) -> Value:
    entitlement = read_entitlements(organization, now(organization)).features.get(feature)
    if entitlement is None:
        return False
    return entitlement.enabled if entitlement.kind is Kind.BOOLEAN else entitlement.limit


def _document(override: Override) -> dict[str, Any]:
    """Return the fields of an override that the audit log records."""
    moments = {"ends_at": override.ends_at, "ended_at": override.ended_at}
    return {"value": override.value} | {name: at.isoformat() if at else None for name, at in moments.items()}


def _end(override: Override) -> None:
    override.ended_at = now(override.organization)
    override.save(update_fields=["ended_at"])
