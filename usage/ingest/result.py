"""Render the response to a request that records events."""

from msgspec import UNSET, Struct, UnsetType

from contextmcp.common.errors import DomainError
from usage.decision.results import to_json
from usage.types import EventResult, EventStatus


class Result(Struct):
    """The result of one event in the response."""

    status: EventStatus
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    errors: list[dict[str, str | None]] | UnsetType = UNSET
    applied: int | UnsetType = UNSET


class Results(Struct):
    """The response to a request that records events."""

    accepted: int
    duplicates: int
    refused: int
    results: list[Result]


_PLAIN = {status: Result(status) for status in EventStatus}


def render_results(outcomes: list[EventResult], *, single: bool) -> bytes:
    """Return the results as JSON. Raise the refusal if the request was a single event that was refused."""
    if single and outcomes[0].error is not None:
        raise outcomes[0].error
    results = [_result(outcome) for outcome in outcomes]
    accepted = sum(outcome.status is EventStatus.ACCEPTED for outcome in outcomes)
    duplicates = sum(outcome.status is EventStatus.DUPLICATE for outcome in outcomes)
    return to_json(Results(accepted, duplicates, len(outcomes) - accepted - duplicates, results))


def _result(outcome: EventResult) -> Result:
    if outcome.error is not None:
        return _refused(outcome.error)
    return _PLAIN[outcome.status] if outcome.applied is None else Result(outcome.status, applied=outcome.applied)


def _refused(error: DomainError) -> Result:
    return Result(EventStatus.REFUSED, error.code, error.text, error.details.get("errors", UNSET))
