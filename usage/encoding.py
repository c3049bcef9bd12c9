"""Answers to JSON. The Django view and the gate's server both send exactly these bytes."""

from datetime import UTC, datetime
from typing import Any

from msgspec import json

from contextmcp.common import problems
from contextmcp.common.errors import DomainError

from .types import Answer, Answers, ItemAnswer

_encoder = json.Encoder()


def present() -> datetime:
    return datetime.now(UTC)


def to_json(value: Any) -> bytes:
    """Compact; times in UTC end in Z."""
    return _encoder.encode(value)


def problem(error: DomainError) -> bytes:
    """A refusal's problem document."""
    return _encoder.encode(problems.body(error))


def rate_headers(answer: Answer | Answers, at: datetime) -> dict[str, str]:
    """`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) of everything in the answer that has a limit."""
    if isinstance(answer, Answer):
        if answer.limit is None or answer.resets_at is None:
            return {}
        name = answer.feature
        return {
            "RateLimit": f'"{name}";r={max(0, answer.remaining or 0)};t={_seconds(answer.resets_at, at)}',
            "RateLimit-Policy": f'"{name}";q={answer.limit}',
        }
    limited = [item for item in answer.items if item.limit is not None and item.resets_at is not None]
    return _fields([(item.feature, item.limit, item.remaining or 0, item.resets_at) for item in limited], at)


def refusal_headers(error: DomainError, at: datetime) -> dict[str, str]:
    """The same of a refusal, with its `Retry-After` and `WWW-Authenticate`."""
    said = error.details
    found = problems.headers(error)
    if said.get("limit") is not None and said.get("resets_at") is not None and "feature" in said:
        found |= _fields([(said["feature"], said["limit"], said.get("remaining", 0), said["resets_at"])], at)
    return found


def _fields(limits: list[tuple[str, Any, Any, Any]], at: datetime) -> dict[str, str]:
    if not limits:
        return {}
    return {
        "RateLimit": ", ".join(f'"{name}";r={max(0, left)};t={_seconds(resets, at)}' for name, _, left, resets in limits),
        "RateLimit-Policy": ", ".join(f'"{name}";q={limit}' for name, limit, _, _ in limits),
    }


def _seconds(moment: datetime, at: datetime) -> int:
    left = moment - at
    return max(0, left.days * 86_400 + left.seconds + (1 if left.microseconds else 0))


def flat(items: list[ItemAnswer], *, single: bool, recorded: bool) -> Answer | Answers:
    """One item's answer is flat; several are listed."""
    if not single:
        return Answers(allowed=True, recorded=recorded, items=items)
    one = items[0]
    return Answer(
        allowed=True,
        recorded=recorded,
        feature=one.feature,
        kind=one.kind,
        amount=one.amount,
        used=one.used,
        limit=one.limit,
        remaining=one.remaining,
        overage=one.overage,
        resets_at=one.resets_at,
    )
