"""Create, rotate, revoke and take over API keys."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from accounts import audit, invalidation, key_emails, key_format
from accounts.errors import (
    HourlyLimitReached,
    InsufficientScope,
    KeyAlreadyRotated,
    KeyEnded,
    KeyHasCreator,
    KeyLimitReached,
    KeyScopesNotHeld,
    PermissionDenied,
)
from accounts.key_verification import verifier
from accounts.models import ApiKey, Organization, User
from accounts.roles import DEFAULT_KEY_SCOPES, SCOPES
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound, ValidationFailed, until
from contextmcp.common.logs import mask

from .organizations import locked

DEFAULT_OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=30)
_ENDED = {
    "revoked": _("This API key is revoked. Create a new one."),
    "expired": _("This API key is expired. Create a new one."),
}


def visible_keys(actor: Caller) -> Any:
    """Return the keys that the actor may see and change: all with the permission users:manage, otherwise their own."""
    keys = actor.organization.api_keys.select_related("creator__user", "created_by")
    return keys if "users:manage" in actor.permissions else keys.filter(creator_id=actor.membership_id)


def generate_key(actor: Caller, name: str, scopes: list[str] | None, expires_at: datetime | None) -> tuple[ApiKey, str]:
    """Create a key for the actor. Return it with its text, which is shown only once.

    Without `scopes`, the key gets the scopes in `DEFAULT_KEY_SCOPES` that the actor has. If the actor is an API key, the new key cannot
    have scopes that the actor lacks or expire later than the actor.

    Raises `ValidationFailed`, `InsufficientScope`, `PermissionDenied`, `KeyLimitReached`, `HourlyLimitReached`, `VerificationBusy`.
    """
    actor.require(scope="keys:write")
    requested = sorted(DEFAULT_KEY_SCOPES & actor.scopes if scopes is None else _known_scopes(scopes))
    _check_scopes_held(actor, requested)
    _require_recent_authentication(actor, requested)
    if not requested:
        message = "Name at least one scope. This caller has none of the default scopes."
        raise ValidationFailed.of_field("scopes", message)
    if expires_at is not None and expires_at <= now(actor.organization):
        raise ValidationFailed.of_field("expiresAt", "Enter a time in the future.")
    _check_limits(actor.organization)
    secret = _new_secret()
    with transaction.atomic():
        _check_limits(locked(actor.organization))
        key = _store(actor, secret, name=name, scopes=requested, expires_at=_earliest(actor, expires_at))
    return key, secret.raw


def rotate_key(actor: Caller, key_id: UUID | None, overlap: timedelta) -> tuple[ApiKey, str]:
    """Create a successor of the presented key, or of another key that the actor may change.

    The old key remains valid for `overlap`, or until its own expiration if that is earlier.

    The successor has the scopes of the old key, because a rotation replaces the secret and does not change permissions. A key may always
    rotate itself; its successor has the same expiration. Rotating another key requires keys:write and all scopes of that key, and the
    successor belongs to the actor, who receives it. The overlap starts when the successor is stored, after its hash was computed.

    Raises `ValidationFailed`, `NotFound`, `KeyEnded`, `KeyAlreadyRotated`, `InsufficientScope`, `PermissionDenied`,
    `HourlyLimitReached`, `VerificationBusy`.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise ValidationFailed.of_field("overlapSeconds", "Enter a number of seconds from 0 to 2592000 (30 days).")
    target_id = _rotated_key_id(actor, key_id)
    _check_rotation(actor, _require_key(actor, visible_keys(actor), target_id))
    _check_limits(actor.organization, replaces=True)
    secret = _new_secret()
    with transaction.atomic():
        _check_limits(locked(actor.organization), replaces=True)
        old = _locked(actor, target_id)
        _check_rotation(actor, old)
        # If the key was rotated before, `old.expires_at` is the end of the overlap. Its first successor has the original expiration.
        first = old.successors.order_by("created_at").first()
        end = first.expires_at if first else old.expires_at
        end = end if _is_itself(actor, old) else _earliest(actor, end)
        new = _store(actor, secret, name=old.name, scopes=old.scopes, expires_at=end, rotated_from=old)
        ends = now(actor.organization) + overlap
        if old.expires_at is None or ends < old.expires_at:
            before, old.expires_at = old.expires_at, ends
            old.save(update_fields=["expires_at"])
            audit.record(
                "key.rotated",
                organization=actor.organization,
                actor=actor,
                target=old.pk,
                before={"expires_at": _iso(before)},
                after={"expires_at": _iso(ends), "successor": str(new.pk)},
            )
        invalidation.notify_now()
    return new, secret.raw


def revoke_key(organization: Organization, actor: Caller | User | None, key_id: UUID, *, reason: str = "") -> None:
    """Revoke a key in all processes within a second. Idempotent. Permissions are checked only if the actor is a `Caller`."""
    with transaction.atomic():
        candidates = visible_keys(actor) if isinstance(actor, Caller) else ApiKey.objects.all()
        key = candidates.select_for_update(of=("self",)).filter(organization=organization, pk=key_id).first()
        if key is None:
            raise NotFound
        if isinstance(actor, Caller) and (actor.key is None or actor.key.pk != key.pk):
            actor.require(scope="keys:write")
            if key.creator_id != actor.membership_id:
                actor.require_recent_authentication()
        if key.revoked_at is not None:
            return
        key.revoked_at = now()
        key.save(update_fields=["revoked_at"])
        before, after = {"name": key.name, "revoked_at": None}, {"name": key.name, "revoked_at": key.revoked_at.isoformat()}
        audit.record("key.revoked", organization=organization, actor=actor, target=key.pk, before=before, after=after, reason=reason)
        if isinstance(actor, User):
            key_emails.send_revoked(key)
        invalidation.notify_now()


def take_over_key(actor: Caller, key_id: UUID) -> tuple[ApiKey, str]:
    """Replace a key whose creator has left. The successor belongs to the actor and has the scopes of the old key that the actor also has.

    The old key is revoked in the same transaction, because the former member may still have it.

    Raises `NotFound`, a `Conflict`, `InsufficientScope`, `PermissionDenied`, `HourlyLimitReached`, `VerificationBusy`.
    """
    actor.require(scope="keys:write", permission="users:manage")
    _check_take_over(actor, _require_key(actor, visible_keys(actor), key_id))
    _check_limits(actor.organization, replaces=True)
    secret = _new_secret()
    with transaction.atomic():
        _check_limits(locked(actor.organization), replaces=True)
        old = _locked(actor, key_id)
        scopes = _check_take_over(actor, old)
        new = _store(actor, secret, name=old.name, scopes=scopes, expires_at=_earliest(actor, old.expires_at), rotated_from=old)
        old.revoked_at = now()
        old.save(update_fields=["revoked_at"])
        audit.record(
            "key.taken_over",
            organization=actor.organization,
            actor=actor,
            target=old.pk,
            before={"scopes": old.scopes, "creator": None},
            after={"scopes": scopes, "creator": str(actor.membership_id), "successor": str(new.pk)},
        )
        invalidation.notify_now()
    return new, secret.raw


def _is_itself(actor: Caller, key: ApiKey) -> bool:
    return actor.key is not None and actor.key.pk == key.pk


def _check_rotation(actor: Caller, old: ApiKey) -> None:
    if not _is_itself(actor, old):
        actor.require(scope="keys:write")
        _check_scopes_held(actor, old.scopes)
        _require_recent_authentication(actor, old.scopes)
    status = old.status(now(actor.organization))
    if status in {"revoked", "expired"}:
        raise KeyEnded(_ENDED[status], state=status)
    if old.successors.filter(revoked_at=None).exists():
        raise KeyAlreadyRotated


def _check_take_over(actor: Caller, old: ApiKey) -> list[str]:
    """Return the scopes of the successor. Raises an error if the actor cannot take over the key."""
    if old.creator_id is not None:
        raise KeyHasCreator
    status = old.status(now(actor.organization))
    if status in {"revoked", "expired"}:
        raise KeyEnded(_ENDED[status], state=status)
    if old.successors.filter(revoked_at=None).exists():
        raise KeyAlreadyRotated
    scopes = sorted(set(old.scopes) & actor.scopes)
    if not scopes:
        raise KeyScopesNotHeld
    _require_recent_authentication(actor, scopes)
    return scopes


def _check_limits(organization: Organization, *, replaces: bool = False) -> None:
    """Raise an error if a limit does not allow another key. With `replaces`, only the hourly limit applies: the key replaces another."""
    keys_of = ApiKey.objects.filter(organization=organization)
    hour = timedelta(hours=1)
    # Counted in real time, so that advancing a test clock does not reset the limit.
    recent = list(keys_of.filter(created_at__gt=now() - hour).order_by("-created_at").values_list("created_at", flat=True))
    limit = settings.API_KEYS_PER_HOUR
    if len(recent) >= limit:
        retry_after = until(recent[limit - 1] + hour, now())
        raise HourlyLimitReached(_("Too many API keys were created within an hour. Try again later."), limit=limit, retry_after=retry_after)
    if replaces:
        return
    used = keys_of.filter(Q(expires_at=None) | Q(expires_at__gt=now(organization)), revoked_at=None).count()
    if used >= settings.API_KEYS_PER_ORGANIZATION:
        raise KeyLimitReached(limit=settings.API_KEYS_PER_ORGANIZATION, used=used)


def _rotated_key_id(actor: Caller, key_id: UUID | None) -> UUID:
    if key_id is not None:
        return key_id
    if actor.key is None:
        raise ValidationFailed.of_field("keyId", "Name the key to rotate. The request was not authenticated with an API key.")
    return actor.key.pk


def _locked(actor: Caller, key_id: UUID) -> ApiKey:
    return _require_key(actor, visible_keys(actor).select_for_update(of=("self",)), key_id)


def _require_key(actor: Caller, candidates: Any, key_id: UUID) -> ApiKey:
    key = candidates.filter(pk=key_id).first()
    if key is None:
        raise NotFound
    key.organization = actor.organization
    return key  # type: ignore[no-any-return]


def _known_scopes(scopes: list[str]) -> set[str]:
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise ValidationFailed(errors=[{"field": "scopes", "message": f"Unknown scope {scope}."} for scope in unknown])
    return set(scopes)


def _check_scopes_held(actor: Caller, scopes: list[str]) -> None:
    """Raise `InsufficientScope` or `PermissionDenied` if the actor does not have all of `scopes`."""
    missing = sorted(set(scopes) - actor.scopes)
    if missing and actor.key is not None:
        raise InsufficientScope(
            "An API key cannot create a key with scopes that it does not have.", required=missing, scopes=sorted(actor.scopes)
        )
    if missing:
        raise PermissionDenied(f"The role {actor.role} does not allow {', '.join(missing)}.", required=missing, role=actor.role)


def _require_recent_authentication(actor: Caller, scopes: list[str]) -> None:
    """Raise `ReauthenticationRequired` if an old session requests a key with more than the default scopes."""
    if not DEFAULT_KEY_SCOPES.issuperset(scopes):
        actor.require_recent_authentication()


def _earliest(actor: Caller, expires_at: datetime | None) -> datetime | None:
    bound = actor.key.expires_at if actor.key is not None else None
    return min((moment for moment in (expires_at, bound) if moment is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Secret:
    raw: str
    hashes: key_format.StoredKeyHashes


def _new_secret() -> _Secret:
    """Generate a key and hash it. Call it before locking rows, because bcrypt is slow."""
    raw = key_format.generate(settings.KEY_ENVIRONMENT)
    return _Secret(raw, verifier.hash_key(raw))


def _store(
    actor: Caller, secret: _Secret, *, name: str, scopes: list[str], expires_at: datetime | None, rotated_from: ApiKey | None = None
) -> ApiKey:
    hashes = secret.hashes
    key = ApiKey.objects.create(
        organization=actor.organization,
        creator_id=actor.membership_id,
        created_by=actor.user,
        public_id=hashes.public_id,
        bcrypt_hash=hashes.bcrypt_hash,
        hmac=hashes.hmac,
        hmac_version=hashes.hmac_version,
        # This masks a key that a user pasted into the name field, so that it is not stored.
        name=mask(name),
        scopes=scopes,
        environment=settings.KEY_ENVIRONMENT,
        expires_at=expires_at,
        rotated_from=rotated_from,
    )
    audit.record(
        "key.created",
        organization=actor.organization,
        actor=actor,
        target=key.pk,
        after={"name": key.name, "scopes": scopes, "expires_at": _iso(expires_at)},
    )
    return key


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
