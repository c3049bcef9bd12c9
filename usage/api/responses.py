"""Encode responses and refusals. Django and the gate send exactly these bytes."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from contextmcp.common import problems
from contextmcp.common.errors import DomainError
from usage.decision.results import Authorized, to_json
from usage.operations.authorization import Decision
from usage.types import AuthorizeManyResult, AuthorizeResult, ItemResult

# Names in lower case, and values.
Headers = list[tuple[str, str]]


class Reply(Struct):
    """A response with the status 200 and a JSON body. `headers` are the headers in addition to Content-Type, or None."""

    body: bytes
    headers: Headers | None = None


_REPLAYED: Headers = [("idempotent-replayed", "true")]


def authorized_reply(authorized: Authorized, at: datetime) -> Reply:
    """Return the reply to a granted call, with its rate limit headers. `at` is the organization's time."""
    if authorized.answer is None:
        return Reply(authorized.body, _REPLAYED)
    return Reply(authorized.body, list(rate_headers(authorized.answer, at).items()) or None)


def decision_reply(feature: str, amount: int, decision: Decision) -> Reply:
    """Return the reply of `check`, for an allowed item or a refusal."""
    result = decision.result
    if isinstance(result, ItemResult):
        payload = {
            "allowed": True,
            "code": None,
            "feature": feature,
            "kind": result.kind,
            "amount": amount,
            "used": result.used,
            "limit": result.limit,
            "remaining": result.remaining,
            "overage": result.overage,
            "resetsAt": result.resets_at,
            "plan": decision.plan,
        }
        return Reply(to_json(payload))
    details = result.details
    payload = {
        "allowed": False,
        "code": result.code,
        "detail": result.text,
        "feature": feature,
        "amount": amount,
        "used": details.get("used"),
        "limit": details.get("limit"),
        "remaining": details.get("remaining"),
        "resetsAt": details.get("resets_at"),
        "retryAfter": details.get("retry_after"),
        "upgradeUrl": details.get("upgrade_url"),
        "plan": decision.plan,
    }
    return Reply(to_json(payload))


def utc_now() -> datetime:
    """Return the wall clock's time in UTC."""
    return datetime.now(UTC)


def problem(error: DomainError) -> bytes:
    """Return the problem document (RFC 9457) of a refusal."""
    return to_json(problems.body(error))


def rate_headers(answer: AuthorizeResult | AuthorizeManyResult, at: datetime) -> dict[str, str]:
    """Return `ratelimit` and `ratelimit-policy` (draft-ietf-httpapi-ratelimit-headers) for the response's items that have a limit."""
    if isinstance(answer, AuthorizeResult):
        if answer.limit is None or answer.resets_at is None:
            return {}
        name = answer.feature
        return {
            "ratelimit": f'"{name}";r={max(0, answer.remaining or 0)};t={_seconds(answer.resets_at, at)}',
            "ratelimit-policy": f'"{name}";q={answer.limit}',
        }
    limited = [item for item in answer.items if item.limit is not None and item.resets_at is not None]
    return _fields([(item.feature, item.limit, item.remaining or 0, item.resets_at) for item in limited], at)


def refusal_headers(error: DomainError, at: datetime) -> dict[str, str]:
    """Return the headers of a refusal by lower-case name: rate limit headers, `retry-after`, `www-authenticate` and `allow`."""
    details = error.details
    headers = {name.lower(): value for name, value in problems.headers(error).items()}
    if details.get("limit") is not None and details.get("resets_at") is not None and "feature" in details:
        headers |= _fields([(details["feature"], details["limit"], details.get("remaining", 0), details["resets_at"])], at)
    return headers


def _fields(limits: list[tuple[str, Any, Any, Any]], at: datetime) -> dict[str, str]:
    if not limits:
        return {}
    return {
        "ratelimit": ", ".join(f'"{name}";r={max(0, remaining)};t={_seconds(resets, at)}' for name, _, remaining, resets in limits),
        "ratelimit-policy": ", ".join(f'"{name}";q={limit}' for name, limit, _, _ in limits),
    }


def _seconds(moment: datetime, at: datetime) -> int:
    remaining = moment - at
    return max(0, remaining.days * 86_400 + remaining.seconds + (1 if remaining.microseconds else 0))
