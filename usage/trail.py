"""The audit events of a service key that lowers usage: one for each request, with totals."""

from typing import Any
from uuid import UUID

from accounts.models import AuditEvent
from contextmcp.common.errors import DomainError
from contextmcp.common.middleware import client_address, request_id

from .decide import Settled
from .types import Verdict


def corrections(events: list[Any], verdicts: list[tuple[Verdict, DomainError | None]]) -> dict[str, int]:
    """Return what accepted corrections took back, by feature."""
    totals: dict[str, int] = {}
    for event, (verdict, _) in zip(events, verdicts, strict=True):
        if verdict is Verdict.ACCEPTED and event.amount < 0:
            totals[event.feature] = totals.get(event.feature, 0) + event.amount
    return totals


def record_corrections(organization_id: UUID, service_key_id: UUID, totals: dict[str, int]) -> None:
    _record("usage.corrected", organization_id, service_key_id, after=dict(totals))


def record_end(organization_id: UUID, service_key_id: UUID, hold: Settled) -> None:
    after = {"feature": hold.feature, "held": hold.held, "settled": hold.settled}
    _record("usage.hold_ended", organization_id, service_key_id, target=hold.id, after=after)


def lowers(hold: Settled) -> bool:
    """Return whether the hold ended with less than it held."""
    return hold.settled < hold.held and hold.state != "expired"


def record_level(organization_id: UUID, service_key_id: UUID, feature: str, *, before: int, value: int) -> None:
    fields = {"feature": feature, "value": value}
    _record("usage.level_lowered", organization_id, service_key_id, target=feature, before={"value": before}, after=fields)


def _record(action: str, organization_id: UUID, service_key_id: UUID, *, target: object = "", **changes: Any) -> None:
    AuditEvent.objects.create(
        action=action,
        organization_id=organization_id,
        actor_service_key_id=service_key_id,
        target=str(target),
        address=client_address.get(),
        request_id=request_id.get(),
        **changes,
    )
