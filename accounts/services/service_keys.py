"""Service keys: create, rotate, revoke. Staff and commands do this; customers cannot."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import audit, keys, revocations
from accounts.models import ServiceKey, User
from accounts.service_principals import SCOPES
from accounts.verification import verifier
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict, ValidationFailed
from contextmcp.common.logs import mask

DEFAULT_OVERLAP = timedelta(hours=24)


def create(actor: User | None, name: str, scopes: list[str] | None = None, expires_at: datetime | None = None) -> tuple[ServiceKey, str]:
    """Return a new service key with its text, which exists nowhere else. Without `scopes` it has all of them.

    Raises `ValidationFailed`, `VerificationBusy`.
    """
    wanted = sorted(set(SCOPES if scopes is None else scopes))
    unknown = sorted(set(wanted) - set(SCOPES))
    if unknown or not wanted:
        raise ValidationFailed(errors=[{"field": "scopes", "message": f"Choose from {', '.join(SCOPES)}."}])
    if not name.strip():
        raise ValidationFailed(errors=[{"field": "name", "message": "Give a name."}])
    if expires_at is not None and expires_at <= now():
        raise ValidationFailed(errors=[{"field": "expiresAt", "message": "This is in the past."}])
    secret = _secret()
    with transaction.atomic():
        key = _store(actor, secret, name=mask(name.strip())[:100], scopes=wanted, expires_at=expires_at)
    return key, secret[0]


def rotate(actor: User | None, key: ServiceKey, overlap: timedelta = DEFAULT_OVERLAP) -> tuple[ServiceKey, str]:
    """Return a successor with the same scopes and its text. The old key works for `overlap` longer.

    Raises `Conflict`, `VerificationBusy`.
    """
    secret = _secret()
    with transaction.atomic():
        old = ServiceKey.objects.select_for_update().get(pk=key.pk)
        present = now()
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= present):
            raise Conflict("This service key has expired or is revoked. Create a new one.")
        if old.successors.filter(revoked_at=None).exists():
            raise Conflict("This service key was rotated already.")
        new = _store(actor, secret, name=old.name, scopes=old.scopes, expires_at=old.expires_at, rotated_from=old)
        ends = min(present + overlap, old.expires_at or datetime.max.replace(tzinfo=present.tzinfo))
        old.expires_at = ends
        old.save(update_fields=["expires_at"])
        after = {"expires_at": ends.isoformat(), "successor": str(new.pk)}
        audit.record("service_key.rotated", organization=None, actor=actor, target=old.pk, after=after)
        revocations.hurry()
    return new, secret[0]


def revoke(actor: User | None, key: ServiceKey) -> None:
    """Stop it in every process within a second. Revoking again changes nothing."""
    with transaction.atomic():
        found = ServiceKey.objects.select_for_update().get(pk=key.pk)
        if found.revoked_at is not None:
            return
        found.revoked_at = now()
        found.save(update_fields=["revoked_at"])
        audit.record("service_key.revoked", organization=None, actor=actor, target=found.pk, before={"name": found.name})
        revocations.hurry()


def _secret() -> tuple[str, keys.Fingerprints]:
    raw = keys.generate(settings.KEY_ENVIRONMENT, prefix=keys.SERVICE_PREFIX)
    return raw, verifier.fingerprints(raw)


def _store(actor: User | None, secret: tuple[str, keys.Fingerprints], **fields: Any) -> ServiceKey:
    known_by = secret[1]
    key = ServiceKey.objects.create(
        public_id=known_by.public_id,
        bcrypt_hash=known_by.bcrypt_hash,
        hmac=known_by.hmac,
        hmac_version=known_by.hmac_version,
        environment=settings.KEY_ENVIRONMENT,
        created_by=actor,
        **fields,
    )
    expires_at = key.expires_at.isoformat() if key.expires_at else None
    after = {"name": key.name, "scopes": key.scopes, "expires_at": expires_at}
    audit.record("service_key.created", organization=None, actor=actor, target=key.pk, after=after)
    return key
