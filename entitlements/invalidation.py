"""Invalidate cached entitlements: in this process immediately, in others through the invalidation log of accounts.

Database triggers write that log, so no change of a grant or override can omit it.
"""

from uuid import UUID

from asgiref.local import Local
from django.db import connection, transaction

from accounts.invalidation import notify_now

from .cache import CACHE

_own = Local()
# Whether this process has ever changed entitlements. This makes the check cheap in the gate, which reads entitlements for each request and
# never changes them.
_any_changed = False


def _changed_organizations() -> set[UUID | None]:
    if not hasattr(_own, "changed"):
        _own.changed = set()
    changed: set[UUID | None] = _own.changed
    return changed


def invalidate(organization_id: UUID | None) -> None:
    """Invalidate the entitlements of one organization, or with None the catalog. Call it in the transaction of the change."""
    global _any_changed  # noqa: PLW0603
    _any_changed = True
    _changed_organizations().add(organization_id)
    # Another thread may cache the old state before the commit, so the entry is discarded again afterwards.
    CACHE.invalidate(organization_id)
    notify_now()
    transaction.on_commit(lambda: _committed(organization_id))


def _committed(organization_id: UUID | None) -> None:
    _changed_organizations().discard(organization_id)
    CACHE.invalidate(organization_id)


def changed_in_transaction(organization_id: UUID | None) -> bool:
    """Return whether the current transaction changed these entitlements, in which case the cache must be neither read nor written."""
    if not _any_changed:
        return False
    changed = _changed_organizations()
    if not connection.in_atomic_block:
        changed.clear()
    return organization_id in changed or None in changed
