"""A cache of verified access tokens and their principals in each process that serves MCP.

It is used in the same way as the cache of API keys: `tokens.get(raw)` on the event loop and, on `MISS`, `tokens.load(raw)` in a thread.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from accounts.errors import InsufficientScope, PermissionDenied
from accounts.invalidation import watcher
from accounts.last_use import FLUSH_SECONDS, LastUse
from accounts.principal_cache import MISS, CacheMiss, PrincipalCache, memory_digest
from accounts.roles import PERMISSIONS, ROLE_SCOPES
from accounts.types import Principal
from contextmcp.common.clock import now
from contextmcp.common.db import fetch_prepared
from contextmcp.common.errors import DomainError

from . import token_format
from .errors import AccessTokenExpired, AccessTokenNotFound

last_use = LastUse("accounts_oauthgrant")
# The number of new tokens after which expired ones are discarded.
STORES_PER_PURGE = 1_000
_SELECT = """
SELECT token.expires_at, token.scopes, token.resources, app.id, app.client_id, app.revoked_at, member.id, member.user_id, member.role,
    person.is_active, organization.id, organization.closed_at, organization.clock_offset, organization.created_at
FROM accounts_oauthtoken AS token
JOIN accounts_oauthgrant AS app ON app.id = token.grant_id
JOIN accounts_membership AS member ON member.id = app.membership_id
JOIN accounts_organization AS organization ON organization.id = member.organization_id
JOIN accounts_user AS person ON person.id = member.user_id
WHERE token.digest = %s AND token.kind = 'access'
"""


@dataclass(frozen=True, slots=True)
class TokenPrincipal(Principal):
    """The identity and permissions of an access token. `key_id` is the ID of its grant, `resources` are the MCP servers it is bound to."""

    client_id: str = ""
    resources: frozenset[str] = frozenset()
    is_connected_app: ClassVar[bool] = True

    def require(self, *, scope: str | None = None, permission: str | None = None) -> None:
        """Raise `PermissionDenied` or `InsufficientScope`.

        The role is checked first, because a client whose token lacks a scope asks its user for it, and users cannot grant a scope that
        their role does not allow.
        """
        if scope is not None and scope not in self.scopes:
            if scope not in ROLE_SCOPES[self.role]:
                raise PermissionDenied(f"The role {self.role} does not allow {scope}.", required=scope, role=self.role)
            message = "This access token does not have the required scope. Sign in again and allow it."
            raise InsufficientScope(message, required=scope, scopes=sorted(self.key_scopes))
        if permission is not None and permission not in self.permissions:
            raise PermissionDenied(f"The role {self.role} lacks {permission}.", required=permission, role=self.role)


class AccessTokenCache(PrincipalCache):
    """Principals and refusals by digest of the access token. Thread-safe. It does not contain tokens."""

    kinds = frozenset({"oauth", "member", "organization", "start", "fork"})
    last_use = last_use
    _stored = 0

    def get(self, raw: str, *, stale: bool = False) -> Principal | DomainError | CacheMiss:
        """Return the principal, the error to raise, or `MISS`, as `PrincipalCache.get` does."""
        try:
            token_format.check_access_token(raw)
        except DomainError as refusal:
            return refusal
        if not (stale or watcher.is_fresh()):
            return MISS
        return self._cached(memory_digest(raw), time.time())

    def load(self, raw: str) -> Principal:
        """Verify the token with the database and cache the result. Raises the refusal. Blocks for a query."""
        token_format.check_access_token(raw)
        watcher.start()
        changes = self._changes
        try:
            principal = _authorize(fetch_prepared(_SELECT, [token_format.digest(raw)]))
        except DomainError as refusal:
            self._store_refusal(memory_digest(raw), refusal, changes)
            raise
        self._store(memory_digest(raw), principal, changes)
        last_use.record(principal.key_id)
        return principal

    def _store(self, digest: bytes, principal: Principal, changes: int) -> None:
        super()._store(digest, principal, changes)
        self._stored += 1
        if self._stored % STORES_PER_PURGE == 0:
            self._purge()

    def _purge(self) -> None:
        """Discard expired tokens. Keys rarely expire, but every app gets a new token each hour."""
        with self._lock:
            present = time.time()
            expired = [(digest, known[0]) for digest, known in self._known.items() if known[1] <= present]
            for digest, principal in expired:
                del self._known[digest]
                self._by_organization[principal.organization_id].discard(digest)

    def _expired(self, principal: Principal) -> DomainError:
        return AccessTokenExpired(expired_at=_real_time(principal))


def _authorize(rows: list[Any]) -> TokenPrincipal:
    if not rows:
        raise AccessTokenNotFound
    (expires_at, scopes, resources, grant_id, client_id, revoked_at, membership_id, user_id, role, is_active, *organization) = rows[0]
    organization_id, closed_at, clock_offset, created_at = organization
    if revoked_at is not None or closed_at is not None or not is_active:
        raise AccessTokenNotFound
    # Tokens expire in real time, even if the organization has a test clock.
    if now() >= expires_at:
        raise AccessTokenExpired(expired_at=expires_at)
    granted = frozenset(scopes)
    return TokenPrincipal(
        key_id=grant_id,
        organization_id=organization_id,
        user_id=user_id,
        membership_id=membership_id,
        role=role,
        key_scopes=granted,
        scopes=granted & ROLE_SCOPES[role],
        permissions=PERMISSIONS[role],
        expires_at=expires_at + clock_offset,
        clock_offset=clock_offset,
        organization_created_at=created_at,
        client_id=client_id,
        resources=frozenset(resources),
    )


def _real_time(principal: Principal) -> datetime:
    assert principal.expires_at is not None
    return (principal.expires_at - principal.clock_offset).astimezone(UTC)


tokens = AccessTokenCache()
watcher.subscribe(tokens.on_invalidation)
watcher.periodic(FLUSH_SECONDS, last_use.flush)
