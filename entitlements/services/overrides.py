"""One feature differently for one organization."""

from datetime import datetime

from django.db import transaction

from accounts.audit import record
from accounts.models import Organization
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed
from entitlements.catalog import CATALOG
from entitlements.errors import AlreadyEnded, UnknownFeature
from entitlements.models import Override
from entitlements.news import announce
from entitlements.selectors import standing_override
from entitlements.terms import Value, valid_value

from .actor import Actor, person
from .grants import lock


def give(
    organization: Organization, feature: str, value: Value, *, reason: str, until: datetime | None = None, actor: Actor = None
) -> Override:
    """From now `feature` has this value (None: unlimited), until. It takes the place of an earlier override of the feature."""
    declared = CATALOG.feature(feature)
    if declared is None:
        raise UnknownFeature.named(feature)
    errors = []
    if not valid_value(declared.kind, value):
        errors.append({"field": "value", "message": "A flag takes true or false, the rest a whole number from 0 or nothing for unlimited."})
    if not reason.strip():
        errors.append({"field": "reason", "message": "Say why."})
    if until is not None and until <= now(organization):
        errors.append({"field": "until", "message": "That moment is past."})
    if errors:
        raise ValidationFailed(errors=errors)
    with transaction.atomic():
        lock(organization)
        former = standing_override(organization, feature)
        if former:
            _end(former)
        override = Override.objects.create(
            organization=organization,
            feature=feature,
            value=value,
            until=until,
            reason=reason,
            created_by=person(actor),
        )
        record(
            "override.given",
            organization=organization,
            actor=actor,
            target=feature,
            before={"value": former.value} if former else None,
            after={"value": value, "until": until.isoformat() if until else None, "reason": reason},
        )
        announce(organization.id)
    return override


def end(override: Override, actor: Actor = None) -> Override:
    """The plan's own value counts again. `AlreadyEnded` if it did."""
    with transaction.atomic():
        lock(override.organization)
        override.refresh_from_db()
        if override.ended_at:
            raise AlreadyEnded
        _end(override)
        record("override.ended", organization=override.organization, actor=actor, target=override.feature, before={"value": override.value})
        announce(override.organization_id)
    return override


def _end(override: Override) -> None:
    override.ended_at = now(override.organization)
    override.save(update_fields=["ended_at"])
