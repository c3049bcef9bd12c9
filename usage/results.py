"""What a report of events is answered with."""

from msgspec import UNSET, Struct, UnsetType

from contextmcp.common.errors import DomainError

from .encoding import to_json
from .types import Verdict


class Result(Struct):
    status: Verdict
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    errors: list[dict[str, str | None]] | UnsetType = UNSET


class Results(Struct):
    accepted: int
    duplicates: int
    refused: int
    results: list[Result]


_PLAIN = {verdict: Result(verdict) for verdict in Verdict}


def told(verdicts: list[tuple[Verdict, DomainError | None]], *, single: bool) -> bytes:
    """As JSON. A single event that is refused raises its refusal instead."""
    if single and verdicts[0][1] is not None:
        raise verdicts[0][1]
    said = [_PLAIN[verdict] if error is None else _refused(error) for verdict, error in verdicts]
    accepted = sum(verdict is Verdict.ACCEPTED for verdict, _ in verdicts)
    duplicates = sum(verdict is Verdict.DUPLICATE for verdict, _ in verdicts)
    return to_json(Results(accepted, duplicates, len(verdicts) - accepted - duplicates, said))


def _refused(error: DomainError) -> Result:
    return Result(Verdict.REFUSED, error.code, error.text, error.details.get("errors", UNSET))
