"""Checkout sessions and the promotion codes typed into them."""

from typing import Any

from billing.errors import StripeMissing, StripeRejected

from .client import ask


def create(*, key: object, request: dict[str, Any]) -> dict[str, Any]:
    return ask("post", "/v1/checkout/sessions", key=key, **request)


def retrieve(session_id: str) -> dict[str, Any] | None:
    try:
        return ask("get", f"/v1/checkout/sessions/{session_id}")
    except StripeMissing:
        return None


def expire(session_id: str, *, key: object) -> dict[str, Any]:
    """The session, expired by us; or as it is where it was no longer open (already paid, or expired by itself)."""
    try:
        return ask("post", f"/v1/checkout/sessions/{session_id}/expire", key=key)
    except StripeRejected:
        session = retrieve(session_id)
        if session is None or session["status"] == "open":
            raise
        return session


def promotion_code(code: str) -> dict[str, Any] | None:
    """The active promotion code that customers type as `code`."""
    found = ask("get", "/v1/promotion_codes", code=code, active=True, limit=1)["data"]
    return found[0] if found else None
