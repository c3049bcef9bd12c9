"""Create, rotate and revoke service keys. Only staff and management commands use it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts import audit, invalidation, key_format
from accounts.errors import KeyAlreadyRotated, KeyEnded, ServiceKeyExists
from accounts.key_verification import verifier
from accounts.models import ServiceKey, User
from accounts.service_principals import SCOPES
from contextmcp.common.clock import now
from contextmcp.common.errors import ValidationFailed
from contextmcp.common.ids import uuid7
from contextmcp.common.logs import mask

DEFAULT_OVERLAP = timedelta(hours=24)


def create(
    actor: User | None,
    name: str,
    scopes: list[str] | None = None,
    expires_at: datetime | None = None,
    *,
    key_id: UUID | None = None,
    reason: str = "",
) -> tuple[ServiceKey, str]:
    """Create a service key. Return it with its text, which is not stored. Without `scopes` it has all of them.

    Raises `ValidationFailed`, `VerificationBusy`, and `ServiceKeyExists` if there is a key with this `key_id`.
    """
    requested = sorted(set(SCOPES if scopes is None else scopes))
    unknown = sorted(set(requested) - set(SCOPES))
    if unknown or not requested:
        raise ValidationFailed.of_field("scopes", f"Choose from {', '.join(SCOPES)}.")
    if not name.strip():
        raise ValidationFailed.of_field("name", "Enter a name.")
    if expires_at is not None and expires_at <= now():
        raise ValidationFailed.of_field("expiresAt", "Enter a time in the future.")
    if key_id is not None and ServiceKey.objects.filter(pk=key_id).exists():
        raise ServiceKeyExists
    secret = _secret()
    with transaction.atomic():
        fields = {"id": key_id or uuid7(), "name": mask(name.strip())[:100], "scopes": requested, "expires_at": expires_at}
        key = _store(actor, secret, reason, **fields)
    return key, secret[0]


def rotate(actor: User | None, key: ServiceKey, overlap: timedelta = DEFAULT_OVERLAP, *, reason: str = "") -> tuple[ServiceKey, str]:
    """Create a successor with the same scopes. Return it with its text. The old key works for `overlap` longer.

    Raises `KeyEnded`, `KeyAlreadyRotated`, `VerificationBusy`.
    """
    secret = _secret()
    with transaction.atomic():
        old = ServiceKey.objects.select_for_update().get(pk=key.pk)
        present = now()
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= present):
            raise KeyEnded("This service key has expired or is revoked. Create a new one.")
        if old.successors.filter(revoked_at=None).exists():
            raise KeyAlreadyRotated("This service key was already rotated.")
        new = _store(actor, secret, reason, name=old.name, scopes=old.scopes, expires_at=old.expires_at, rotated_from=old)
        ends = min(present + overlap, old.expires_at or datetime.max.replace(tzinfo=present.tzinfo))
        old.expires_at = ends
        old.save(update_fields=["expires_at"])
        after = {"expires_at": ends.isoformat(), "successor": str(new.pk)}
        audit.record("service_key.rotated", organization=None, actor=actor, target=old.pk, after=after, reason=reason)
        invalidation.notify_now()
    return new, secret[0]


def revoke(actor: User | None, key: ServiceKey, *, reason: str = "") -> None:
    """Revoke a key in all processes within a second. Raises `KeyEnded` if it is already revoked."""
    with transaction.atomic():
        row = ServiceKey.objects.select_for_update().get(pk=key.pk)
        if row.revoked_at is not None:
            raise KeyEnded("This service key is already revoked.")
        row.revoked_at = now()
        row.save(update_fields=["revoked_at"])
        audit.record("service_key.revoked", organization=None, actor=actor, target=row.pk, before={"name": row.name}, reason=reason)
        invalidation.notify_now()


def _secret() -> tuple[str, key_format.StoredKeyHashes]:
    raw = key_format.generate(settings.KEY_ENVIRONMENT, prefix=key_format.SERVICE_PREFIX)
    return raw, verifier.hash_key(raw)


def _store(actor: User | None, secret: tuple[str, key_format.StoredKeyHashes], reason: str, **fields: Any) -> ServiceKey:
    hashes = secret[1]
    key = ServiceKey.objects.create(
        public_id=hashes.public_id,
        bcrypt_hash=hashes.bcrypt_hash,
        hmac=hashes.hmac,
        hmac_version=hashes.hmac_version,
        environment=settings.KEY_ENVIRONMENT,
        created_by=actor,
        **fields,
    )
    expires_at = key.expires_at.isoformat() if key.expires_at else None
    after = {"name": key.name, "scopes": key.scopes, "expires_at": expires_at}
    audit.record("service_key.created", organization=None, actor=actor, target=key.pk, after=after, reason=reason)
    return key
