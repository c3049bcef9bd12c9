"""How a change reaches the copies: this process at once, the others through accounts' sequence of revocations.

Triggers write that sequence, so that no way of changing a grant can forget it.
"""

from uuid import UUID

from asgiref.local import Local
from django.db import connection, transaction

from accounts.revocations import hurry

from .cache import CACHE

_own = Local()


def _touched() -> set[UUID | None]:
    if not hasattr(_own, "touched"):
        _own.touched = set()
    touched: set[UUID | None] = _own.touched
    return touched


def announce(organization_id: UUID | None) -> None:
    """Entitlements of one organization changed, or with None the catalogue. Called in the transaction that changes them."""
    _touched().add(organization_id)
    # Whoever reads before the commit keeps the old state, so the copy goes after it as well.
    CACHE.forget(organization_id)
    hurry()
    transaction.on_commit(lambda: _committed(organization_id))


def _committed(organization_id: UUID | None) -> None:
    _touched().discard(organization_id)
    CACHE.forget(organization_id)


def changing(organization_id: UUID | None) -> bool:
    """Whether this transaction changed what would be read: such a reading is not for keeping, and a kept one is not for reading."""
    touched = _touched()
    if not connection.in_atomic_block:
        touched.clear()
    return organization_id in touched or None in touched
