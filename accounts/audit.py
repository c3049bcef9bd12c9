"""The audit log: record who changed what."""

from contextvars import ContextVar
from typing import Any

from contextmcp.common.logs import request_id
from contextmcp.common.middleware import client_address

from .models import AuditEvent, Organization, User
from .types import Caller

# The member of staff who acts as the member that the request authenticates (accounts.services.impersonation).
impersonator: ContextVar[User | None] = ContextVar("impersonator", default=None)


def record(
    action: str,
    *,
    organization: Organization | None,
    actor: Caller | User | None,
    target: object = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
    once: bool = False,
) -> AuditEvent:
    """Record `action` ("noun.verb") in the current transaction.

    Without an `actor` the change was made by the system. `before` and `after` must be JSON-serializable and must not contain secrets.
    With `once`, nothing is recorded if a unique constraint of the audit log shows that the event was already recorded (see
    `AuditEvent.Meta`).
    """
    caller = actor if isinstance(actor, Caller) else None
    event = AuditEvent(
        organization=organization,
        actor_user=(None if caller.service else caller.user) if caller else actor if isinstance(actor, User) else None,
        actor_key=caller.key if caller and caller.service is None else None,
        impersonator=impersonator.get(),
        actor_service_key_id=caller.service.key_id if caller and caller.service else None,
        action=action,
        target=str(target)[:255],
        before=before,
        after=after,
        reason=reason[:200],
        ip_address=client_address.get(),
        request_id=request_id.get(),
    )
    if once:
        AuditEvent.objects.bulk_create([event], ignore_conflicts=True)
    else:
        event.save(force_insert=True)
    return event
