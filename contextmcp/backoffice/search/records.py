"""Search audit events by request ID, which customers quote from an error message."""

from collections.abc import Iterable

from accounts.models import AuditEvent

from .query import Query
from .results import Hit, Resolver, row_hit


def _audit_events(query: Query, start: int, stop: int) -> Iterable[Hit]:
    if not query.request_id:
        return
    rows = AuditEvent.objects.select_related("organization", "actor_user").filter(request_id=query.request_id)
    for event in rows.order_by()[start:stop]:
        yield row_hit(
            event, str(event), str(event.organization or ""), str(event.actor_user or "System"), f"{event.created_at:%Y-%m-%d %H:%M} UTC"
        )


RESOLVERS = [Resolver("audit", "Audit events", "accounts.view_auditevent", _audit_events)]
