"""What happens below that the copies here must hear of."""

from typing import Any

from django.dispatch import receiver

from accounts.revocations import Notice, watcher
from accounts.signals import organization_closed

from .cache import CACHE
from .news import announce

KINDS = frozenset({"entitlements", "organization", "start", "fork"})


@receiver(organization_closed)
def close(organization: Any, **_: Any) -> None:
    """In this process at once; the watchers of the others hear of it by themselves."""
    announce(organization.id)


def hear(notice: Notice) -> None:
    """An entry of the sequence arrived."""
    if notice.kind == "fork":
        CACHE.reset()
    elif notice.kind in KINDS:
        CACHE.forget(notice.organization_id)


watcher.subscribe(hear)
