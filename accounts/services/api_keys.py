"""Making, rotating, revoking and adopting API keys."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts import audit, keys, revocations
from accounts.errors import InsufficientScope, PermissionDenied
from accounts.models import ApiKey, Organization, User
from accounts.roles import SCOPES
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict, NotFound, ValidationFailed
from contextmcp.common.logs import mask

DEFAULT_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=30)


def visible(actor: Caller) -> Any:
    """The keys an actor may see and touch: everyone's for who manages users, else the own."""
    found = ApiKey.objects.filter(organization=actor.organization).select_related("creator__user", "created_by")
    return found if "users:manage" in actor.permissions else found.filter(creator_id=actor.membership_id)


def generate(actor: Caller, name: str, scopes: list[str] | None, expires_at: datetime | None) -> tuple[ApiKey, str]:
    """A new key of the actor's, and its only appearance in clear.

    Without `scopes`: all the actor has except keys:write, so that a key makes others only where somebody asked for it. A key that makes
    a key gives it no scope it lacks and no later end than its own.
    """
    actor.require(scope="keys:write")
    wanted = sorted(set(actor.scopes - {"keys:write"}) if scopes is None else _known(scopes))
    _within(actor, wanted)
    if not wanted:
        raise ValidationFailed(errors=[{"field": "scopes", "message": "Name at least one: there is none to take over but keys:write."}])
    if expires_at is not None and expires_at <= now(actor.organization):
        raise ValidationFailed(errors=[{"field": "expiresAt", "message": "This is in the past."}])
    return _store(actor, name=name, scopes=wanted, expires_at=_no_later(actor, expires_at))


def rotate(actor: Caller, key_id: UUID | None, overlap: timedelta) -> tuple[ApiKey, str]:
    """A successor for the presented key, or for another one that the actor may touch; the old one lives on for `overlap`.

    A key may always replace itself: its successor can do the same, until the same moment. Whoever rotates another key needs keys:write and
    every scope of it, and the successor is theirs: they are the ones who hold it.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise ValidationFailed(errors=[{"field": "overlapSeconds", "message": "Give 0 to 2592000 (30 days)."}])
    with transaction.atomic():
        old = _locked(actor, _which(actor, key_id))
        present = now(actor.organization)
        itself = actor.key is not None and actor.key.pk == old.pk
        if not itself:
            actor.require(scope="keys:write")
            _within(actor, old.scopes)
        if old.status(present) in {"revoked", "expired"}:
            raise Conflict(f"This API key is {old.status(present)} already. Make a new one.")
        if old.successors.filter(revoked_at=None).exists():
            raise Conflict("This API key was rotated already. Rotate its successor, or revoke that first.")
        # Its own expiry is the end of an overlap once it was rotated; what it was to live before, its successor was given.
        first = old.successors.order_by("created_at").first()
        until = first.expires_at if first else old.expires_at
        until = until if itself else _no_later(actor, until)
        new, raw = _store(actor, name=old.name, scopes=old.scopes, expires_at=until, rotated_from=old)
        ends = present + overlap
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
    return new, raw


def revoke(organization: Organization, actor: Caller | User | None, key_id: UUID) -> None:
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
        audit.record("key.revoked", organization=organization, actor=actor, target=key.pk, before={"name": key.name})
        revocations.hurry()


def adopt(actor: Caller, key_id: UUID) -> ApiKey:
    """Take over a key whose creator has left: from now on the actor's role bounds it. It keeps no scope that the actor lacks."""
    actor.require(scope="keys:write", permission="users:manage")
    with transaction.atomic():
        key = _locked(actor, key_id)
        if key.creator_id is not None:
            raise Conflict("The member who made this API key is still here.")
        if key.revoked_at is not None:
            raise Conflict("This API key is revoked already. Make a new one.")
        before = list(key.scopes)
        key.creator_id = actor.membership_id
        key.scopes = sorted(set(before) & actor.scopes)
        key.save(update_fields=["creator", "scopes"])
        audit.record(
            "key.adopted",
            organization=actor.organization,
            actor=actor,
            target=key.pk,
            before={"scopes": before, "creator": None},
            after={"scopes": key.scopes, "creator": str(actor.membership_id)},
        )
        revocations.hurry()
    return key


def _which(actor: Caller, key_id: UUID | None) -> UUID:
    if key_id is not None:
        return key_id
    if actor.key is None:
        raise ValidationFailed(errors=[{"field": "keyId", "message": "Say which key: you did not present one."}])
    return actor.key.pk


def _locked(actor: Caller, key_id: UUID) -> ApiKey:
    key = visible(actor).select_for_update(of=("self",)).filter(pk=key_id).first()
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


def _store(
    actor: Caller, *, name: str, scopes: list[str], expires_at: datetime | None, rotated_from: ApiKey | None = None
) -> tuple[ApiKey, str]:
    raw = keys.generate(settings.KEY_ENVIRONMENT)
    known_by = keys.fingerprints(raw)
    with transaction.atomic():
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
    return key, raw


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
