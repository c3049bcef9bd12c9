"""Every change of anything that matters leaves an event."""

from typing import Any

from contextmcp.common.middleware import client_address, request_id

from .models import AuditEvent, Organization, User
from .types import Caller


def record(
    action: str,
    *,
    organization: Organization | None,
    actor: Caller | User | None,
    target: object = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> AuditEvent:
    """Write `action` ("noun.verb") in the current transaction. No actor: the system did it. Values must be plain JSON, and no secrets."""
    caller = actor if isinstance(actor, Caller) else None
    return AuditEvent.objects.create(
        organization=organization,
        actor_user=(None if caller.service else caller.user) if caller else actor if isinstance(actor, User) else None,
        actor_key=caller.key if caller and caller.service is None else None,
        actor_service_key_id=caller.service.key_id if caller and caller.service else None,
        action=action,
        target=str(target)[:255],
        before=before,
        after=after,
        reason=reason[:200],
        address=client_address.get(),
        request_id=request_id.get(),
    )
