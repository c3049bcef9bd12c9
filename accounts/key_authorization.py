"""The row of an API key, and what the key may do: its expiry and revocation, its creator's role and its scopes."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct

from contextmcp.common.clock import now
from contextmcp.common.db import fetch_prepared

from .errors import KeyExpired, KeyRevoked, PermissionDenied
from .models import ApiKey
from .roles import PERMISSIONS, ROLE_SCOPES
from .types import Principal


class KeyRowOrganization(Struct):
    pk: UUID
    created_at: datetime
    closed_at: datetime | None
    clock_offset: timedelta


class KeyRowUser(Struct):
    is_active: bool


class KeyRowCreator(Struct):
    pk: UUID
    user_id: int
    role: str
    user: KeyRowUser


class KeyRow(Struct):
    """The fields of an API key's row that authorization needs, with the names of the model."""

    pk: UUID
    bcrypt_hash: str
    hmac: bytes
    hmac_version: int
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    organization: KeyRowOrganization
    creator: KeyRowCreator | None


def api_keys_with_owner() -> Any:
    return ApiKey.objects.select_related("organization", "creator__user")


# This statement selects only the columns that `authorize_key_row` and the verifier use. As a prepared statement, it takes a fifth of the
# time of the ORM query.
_SELECT_KEY_ROW = """
SELECT key.id, key.bcrypt_hash, key.hmac, key.hmac_version, key.scopes, key.expires_at, key.revoked_at,
    organization.id, organization.created_at, organization.closed_at, organization.clock_offset,
    creator.id, creator.user_id, creator.role, person.is_active
FROM accounts_apikey AS key
JOIN accounts_organization AS organization ON organization.id = key.organization_id
LEFT JOIN accounts_membership AS creator ON creator.id = key.creator_id
LEFT JOIN accounts_user AS person ON person.id = creator.user_id
WHERE key.public_id = %s
"""


def find_key_row(public_id: str) -> "KeyRow | None":
    rows = fetch_prepared(_SELECT_KEY_ROW, [public_id])
    if not rows:
        return None
    (row,) = rows
    creator = None if row[11] is None else KeyRowCreator(row[11], row[12], row[13], KeyRowUser(row[14]))
    values: tuple[Any, ...] = (*row[:7], KeyRowOrganization(*row[7:11]), creator)
    return KeyRow(*values)


def authorize_key_row(row: "ApiKey | KeyRow") -> Principal:
    """Return the principal of a verified key. Raises `KeyRevoked`, `KeyExpired` or `PermissionDenied`."""
    organization, creator = row.organization, row.creator
    if row.revoked_at is not None:
        raise KeyRevoked
    if organization.closed_at is not None:
        raise KeyRevoked("The organization of this API key was closed.")
    if row.expires_at is not None and now(organization) >= row.expires_at:
        raise KeyExpired(expired_at=row.expires_at)
    if creator is None:
        raise PermissionDenied(
            "The member who created this API key left the organization. The key is disabled until an admin takes it over."
        )
    if not creator.user.is_active:
        raise PermissionDenied("The account of the member who created this API key is inactive.")
    granted = frozenset(row.scopes)
    return Principal(
        key_id=row.pk,
        organization_id=organization.pk,
        user_id=creator.user_id,
        membership_id=creator.pk,
        role=creator.role,
        key_scopes=granted,
        scopes=granted & ROLE_SCOPES[creator.role],
        permissions=PERMISSIONS[creator.role],
        expires_at=row.expires_at,
        clock_offset=organization.clock_offset,
        organization_created_at=organization.created_at,
    )
