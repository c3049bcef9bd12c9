"""Record usage events."""

from contextmcp.common.errors import DomainError
from entitlements.manager import EntitlementsManager
from usage.decision.results import EventsRecorded
from usage.errors import TemporarilyUnavailable
from usage.ingest.event_parsing import EventBody
from usage.ingest.event_validation import ValidatedEvent, validate_events
from usage.ingest.plan_history import PlanHistory, plan_history_for
from usage.types import Command, EventBatch, EventResult, EventStatus

from .caller import UsageCaller, load_entitlements
from .effects import CallDatabase, DatabaseUnreachable, ExecuteCommand, Operation


def record_events(caller: UsageCaller, bodies: list[EventBody | DomainError]) -> Operation[list[EventResult]]:
    """Record usage events regardless of limits and return one result per event, in order.

    An element of `bodies` that is a refusal, because it could not be parsed, becomes a refused result. Corrections by a service key are
    written to the audit log in the same transaction.

    Raises:
        KeyRevoked: the API key was revoked.
        TemporarilyUnavailable: PostgreSQL is unreachable; nothing is recorded.
    """
    at = caller.now()
    entitlements = EntitlementsManager.cached(caller.organization_id, at) or (yield from load_entitlements(caller, at))
    history = plan_history_for(entitlements)
    if _is_covered(bodies, history):
        parsed: list[ValidatedEvent] = validate_events(bodies, at, history)
    else:
        try:
            parsed = yield CallDatabase(validate_events, (bodies, at, history))
        except DatabaseUnreachable:
            raise TemporarilyUnavailable(retry_after=1) from None
    valid = [event for event in parsed if not isinstance(event, DomainError)]
    results = iter((yield from _record(EventBatch(caller.subject, valid, caller.service))) if valid else ())
    return [EventResult(EventStatus.REFUSED, event) if isinstance(event, DomainError) else next(results) for event in parsed]


def _is_covered(bodies: list[EventBody | DomainError], history: PlanHistory) -> bool:
    """Return whether the events can be validated without a query for earlier plans."""
    return all(isinstance(body, DomainError) or body.occurred_at is None or history.covers(body.occurred_at) for body in bodies)


def _record(batch: EventBatch) -> Operation[list[EventResult]]:
    result = yield from execute_command(batch)
    assert isinstance(result, EventsRecorded)
    return result.outcomes


def execute_command(command: Command) -> Operation[object]:
    """Execute a command that has no failure mode. Raises the refusal, or `TemporarilyUnavailable` if PostgreSQL is unreachable."""
    try:
        result = yield ExecuteCommand(command)
    except DatabaseUnreachable:
        raise TemporarilyUnavailable(retry_after=1) from None
    if isinstance(result, DomainError):
        raise result
    return result
