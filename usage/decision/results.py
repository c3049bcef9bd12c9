"""The results of commands, and the JSON response to a granted command."""

from typing import Any
from uuid import UUID

from msgspec import Struct, json

from contextmcp.common.errors import DomainError
from usage.types import AuthorizeCommand, AuthorizeManyResult, AuthorizeResult, EventResult, HoldResult, ItemResult

_encoder = json.Encoder()


class Authorized(Struct):
    """A granted request. `body` is the encoded response; `answer` is None when an earlier response is repeated."""

    body: bytes
    answer: AuthorizeResult | AuthorizeManyResult | None = None

    @property
    def replayed(self) -> bool:
        """Return whether this is the response to an earlier request with the same idempotency key."""
        return self.answer is None


class EventsRecorded(Struct):
    """The result of each event, in order."""

    outcomes: list[EventResult]


class HoldSettled(Struct, rename="camel"):
    """The result of settling or releasing a hold. `held` and `settled` are in units."""

    id: UUID
    feature: str
    state: str
    held: int
    settled: int


# The result of `SetGauge` is an `ItemResult`.
CommandResult = Authorized | EventsRecorded | HoldSettled | ItemResult | DomainError


def to_json(value: Any) -> bytes:
    """Return compact JSON. Times in UTC end in Z."""
    return _encoder.encode(value)


def build_response(command: AuthorizeCommand, items: list[ItemResult], *, recorded: bool = True) -> Authorized:
    """Build the response to a granted command from the results of its items."""
    answer = _build_answer(items, single=command.single, recorded=recorded)
    if command.hold is not None and isinstance(answer, AuthorizeResult):
        answer.hold = HoldResult(id=command.hold.id, expires_at=command.hold.expires_at)
    return Authorized(to_json(answer), answer)


def _build_answer(items: list[ItemResult], *, single: bool, recorded: bool) -> AuthorizeResult | AuthorizeManyResult:
    """Return a flat response for a single item, or a list of results for several."""
    if not single:
        return AuthorizeManyResult(allowed=True, recorded=recorded, items=items)
    item = items[0]
    return AuthorizeResult(
        allowed=True,
        recorded=recorded,
        feature=item.feature,
        kind=item.kind,
        amount=item.amount,
        used=item.used,
        limit=item.limit,
        remaining=item.remaining,
        overage=item.overage,
        resets_at=item.resets_at,
    )
