"""Creating, rotating, revoking and adopting API keys."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from accounts import audit, keys, revocations
from accounts.errors import HourlyLimitReached, InsufficientScope, KeyLimitReached, PermissionDenied
from accounts.models import ApiKey, Organization, User
from accounts.roles import DEFAULT_KEY_SCOPES, SCOPES
from accounts.types import Caller
from accounts.verification import verifier
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict, NotFound, ValidationFailed, until
from contextmcp.common.logs import mask

from .organizations import locked

DEFAULT_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=30)


def visible(actor: Caller) -> Any:
    """The keys an actor may see and touch: everyone's for who manages users, else the own."""
    found = ApiKey.objects.filter(organization=actor.organization).select_related("creator__user", "created_by")
    return found if "users:manage" in actor.permissions else found.filter(creator_id=actor.membership_id)


def generate(actor: Caller, name: str, scopes: list[str] | None, expires_at: datetime | None) -> tuple[ApiKey, str]:
    """Create a key of the actor's. Return it with its text, which is shown this once.

    Without `scopes` the key gets those of `DEFAULT_KEY_SCOPES` that the actor has; everything else is asked for by name. A key that creates
    a key gives it no scope it lacks and no later end than its own.

    Raises `ValidationFailed`, `InsufficientScope`, `PermissionDenied`, `KeyLimitReached`, `HourlyLimitReached`, `VerificationBusy`.
    """
    actor.require(scope="keys:write")
    wanted = sorted(DEFAULT_KEY_SCOPES & actor.scopes if scopes is None else _known(scopes))
    _within(actor, wanted)
    if not wanted:
        message = "Name at least one scope: this caller has none of the default ones."
        raise ValidationFailed(errors=[{"field": "scopes", "message": message}])
    if expires_at is not None and expires_at <= now(actor.organization):
        raise ValidationFailed(errors=[{"field": "expiresAt", "message": "This is in the past."}])
    _room(actor.organization)
    secret = _new_secret()
    with transaction.atomic():
        _room(locked(actor.organization))
        key = _store(actor, secret, name=name, scopes=wanted, expires_at=_no_later(actor, expires_at))
    return key, secret.raw


def rotate(actor: Caller, key_id: UUID | None, overlap: timedelta) -> tuple[ApiKey, str]:
    """Create a successor for the presented key, or for another one that the actor may touch. The old one works on for `overlap`.

    The successor has the scopes of the old key: a rotation changes the secret and no rights. A key may always replace itself; its successor
    can do the same, until the same moment. Whoever rotates another key needs keys:write and every scope of it, and the successor is theirs:
    they are the ones who hold it. The overlap counts from the moment the successor is stored, after its hash was computed.

    Raises `ValidationFailed`, `NotFound`, `Conflict`, `InsufficientScope`, `PermissionDenied`, `HourlyLimitReached`, `VerificationBusy`.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise ValidationFailed(errors=[{"field": "overlapSeconds", "message": "Give 0 to 2592000 (30 days)."}])
    wanted = _which(actor, key_id)
    _may_rotate(actor, _found(actor, visible(actor), wanted))
    _room(actor.organization, replaces=True)
    secret = _new_secret()
    with transaction.atomic():
        _room(locked(actor.organization), replaces=True)
        old = _locked(actor, wanted)
        _may_rotate(actor, old)
        # Its own expiry is the end of an overlap once it was rotated; what it was to live before, its successor was given.
        first = old.successors.order_by("created_at").first()
        end = first.expires_at if first else old.expires_at
        end = end if _is_itself(actor, old) else _no_later(actor, end)
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
        revocations.hurry()
    return new, secret.raw


def revoke(organization: Organization, actor: Caller | User | None, key_id: UUID, *, reason: str = "") -> None:
    """At once, everywhere. Repeating it changes nothing. A staff user or None as actor is not asked for permission."""
    with transaction.atomic():
        candidates = visible(actor) if isinstance(actor, Caller) else ApiKey.objects.all()
        key = candidates.select_for_update(of=("self",)).filter(organization=organization, pk=key_id).first()
        if key is None:
            raise NotFound
        if isinstance(actor, Caller) and (actor.key is None or actor.key.pk != key.pk):
            actor.require(scope="keys:write")
        if key.revoked_at is not None:
            return
        key.revoked_at = now()
        key.save(update_fields=["revoked_at"])
        audit.record("key.revoked", organization=organization, actor=actor, target=key.pk, before={"name": key.name}, reason=reason)
        revocations.hurry()


def adopt(actor: Caller, key_id: UUID) -> tuple[ApiKey, str]:
    """Replace a key whose creator has left. The successor is the actor's, with those of its scopes that the actor has.

    The old key is revoked in the same transaction: whoever left may still have its text, which must not work with the actor's role.

    Raises `NotFound`, `Conflict`, `InsufficientScope`, `PermissionDenied`, `HourlyLimitReached`, `VerificationBusy`.
    """
    actor.require(scope="keys:write", permission="users:manage")
    _may_adopt(actor, _found(actor, visible(actor), key_id))
    _room(actor.organization, replaces=True)
    secret = _new_secret()
    with transaction.atomic():
        _room(locked(actor.organization), replaces=True)
        old = _locked(actor, key_id)
        scopes = _may_adopt(actor, old)
        new = _store(actor, secret, name=old.name, scopes=scopes, expires_at=_no_later(actor, old.expires_at), rotated_from=old)
        old.revoked_at = now()
        old.save(update_fields=["revoked_at"])
        audit.record(
            "key.adopted",
            organization=actor.organization,
            actor=actor,
            target=old.pk,
            before={"scopes": old.scopes, "creator": None},
            after={"scopes": scopes, "creator": str(actor.membership_id), "successor": str(new.pk)},
        )
        revocations.hurry()
    return new, secret.raw


def _is_itself(actor: Caller, key: ApiKey) -> bool:
    return actor.key is not None and actor.key.pk == key.pk


def _may_rotate(actor: Caller, old: ApiKey) -> None:
    if not _is_itself(actor, old):
        actor.require(scope="keys:write")
        _within(actor, old.scopes)
    status = old.status(now(actor.organization))
    if status in {"revoked", "expired"}:
        raise Conflict(f"This API key is {status} already. Make a new one.")
    if old.successors.filter(revoked_at=None).exists():
        raise Conflict("This API key was rotated already. Rotate its successor, or revoke that first.")


def _may_adopt(actor: Caller, old: ApiKey) -> list[str]:
    """Return the scopes of the successor."""
    if old.creator_id is not None:
        raise Conflict("The member who made this API key is still here.")
    status = old.status(now(actor.organization))
    if status in {"revoked", "expired"}:
        raise Conflict(f"This API key is {status} already. Make a new one.")
    if old.successors.filter(revoked_at=None).exists():
        raise Conflict("This API key was rotated already. Adopt or rotate its successor.")
    scopes = sorted(set(old.scopes) & actor.scopes)
    if not scopes:
        raise Conflict("None of the scopes of this API key are yours. Make a new one.")
    return scopes


def _room(organization: Organization, *, replaces: bool = False) -> None:
    """Raise the refusal unless the organization may have one more key now. One that `replaces` another adds none to those that stay."""
    keys_of = ApiKey.objects.filter(organization=organization)
    hour = timedelta(hours=1)
    # In real time: no test clock makes room.
    recent = list(keys_of.filter(created_at__gt=now() - hour).order_by("-created_at").values_list("created_at", flat=True))
    limit = settings.API_KEYS_PER_HOUR
    if len(recent) >= limit:
        retry_after = until(recent[limit - 1] + hour, now())
        raise HourlyLimitReached("Too many API keys were made within an hour. Try again later.", limit=limit, retry_after=retry_after)
    if replaces:
        return
    used = keys_of.filter(Q(expires_at=None) | Q(expires_at__gt=now(organization)), revoked_at=None).count()
    if used >= settings.API_KEYS_PER_ORGANIZATION:
        raise KeyLimitReached(limit=settings.API_KEYS_PER_ORGANIZATION, used=used)


def _which(actor: Caller, key_id: UUID | None) -> UUID:
    if key_id is not None:
        return key_id
    if actor.key is None:
        raise ValidationFailed(errors=[{"field": "keyId", "message": "Say which key: you did not present one."}])
    return actor.key.pk


def _locked(actor: Caller, key_id: UUID) -> ApiKey:
    return _found(actor, visible(actor).select_for_update(of=("self",)), key_id)


def _found(actor: Caller, candidates: Any, key_id: UUID) -> ApiKey:
    key = candidates.filter(pk=key_id).first()
    if key is None:
        raise NotFound
    key.organization = actor.organization
    return key  # type: ignore[no-any-return]


def _known(scopes: list[str]) -> set[str]:
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise ValidationFailed(errors=[{"field": "scopes", "message": f"There is no scope {scope}."} for scope in unknown])
    return set(scopes)


def _within(actor: Caller, scopes: list[str]) -> None:
    """A key never mints a broader one, nor does a member a key that could do more than their role."""
    beyond = sorted(set(scopes) - actor.scopes)
    if beyond and actor.key is not None:
        raise InsufficientScope("A key cannot make one that may do more than itself.", required=beyond, scopes=sorted(actor.scopes))
    if beyond:
        raise PermissionDenied(f"The role {actor.role} does not allow {', '.join(beyond)}.", required=beyond, role=actor.role)


def _no_later(actor: Caller, expires_at: datetime | None) -> datetime | None:
    bound = actor.key.expires_at if actor.key is not None else None
    return min((moment for moment in (expires_at, bound) if moment is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Secret:
    raw: str
    fingerprints: keys.Fingerprints


def _new_secret() -> _Secret:
    """Generate a key and hash it. This is slow, so it happens before any row is locked."""
    raw = keys.generate(settings.KEY_ENVIRONMENT)
    return _Secret(raw, verifier.fingerprints(raw))


def _store(
    actor: Caller, secret: _Secret, *, name: str, scopes: list[str], expires_at: datetime | None, rotated_from: ApiKey | None = None
) -> ApiKey:
    known_by = secret.fingerprints
    key = ApiKey.objects.create(
        organization=actor.organization,
        creator_id=actor.membership_id,
        created_by=actor.user,
        public_id=known_by.public_id,
        bcrypt_hash=known_by.bcrypt_hash,
        hmac=known_by.hmac,
        hmac_version=known_by.hmac_version,
        # A key pasted into the wrong field must not end up in the database.
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
