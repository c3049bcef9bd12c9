"""The audit log: record who changed what."""

from typing import Any

from contextmcp.common.logs import request_id
from contextmcp.common.middleware import client_address

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
    """Record `action` ("noun.verb") in the current transaction.

    Without an `actor` the change was made by the system. `before` and `after` must be JSON-serializable and must not contain secrets.
    """
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
        ip_address=client_address.get(),
        request_id=request_id.get(),
    )
