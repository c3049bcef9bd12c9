"""Receivers of signals and invalidations of accounts that concern cached entitlements."""

from typing import Any

from django.dispatch import receiver

from accounts.invalidation import Invalidation, watcher
from accounts.signals import organization_closed, organization_reopened

from .cache import CACHE
from .invalidation import invalidate

KINDS = frozenset({"entitlements", "organization", "start", "fork"})


@receiver([organization_closed, organization_reopened])
def on_closing(organization: Any, **_: Any) -> None:
    """Invalidate an organization that was closed or reopened in this process. Other processes receive it through the invalidation log."""
    invalidate(organization.id)


def on_invalidation(invalidation: Invalidation) -> None:
    """Discard the cached entitlements that an entry of the invalidation log concerns."""
    if invalidation.kind == "fork":
        CACHE.reset()
    elif invalidation.kind in KINDS:
        CACHE.invalidate(invalidation.organization_id)


watcher.subscribe(on_invalidation)
