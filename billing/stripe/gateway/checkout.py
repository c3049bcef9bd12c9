"""Checkout sessions and promotion codes."""

from typing import Any

from billing.errors import StripeMissing, StripeRejected

from .client import call


def create(*, key: object, request: dict[str, Any]) -> dict[str, Any]:
    return call("post", "/v1/checkout/sessions", key=key, **request)


def retrieve(session_id: str) -> dict[str, Any] | None:
    """Return the Checkout session; None if it does not exist."""
    try:
        return call("get", f"/v1/checkout/sessions/{session_id}")
    except StripeMissing:
        return None


def expire(session_id: str, *, key: object) -> dict[str, Any]:
    """Expire a session and return it. A completed or expired session is returned unchanged."""
    try:
        return call("post", f"/v1/checkout/sessions/{session_id}/expire", key=key)
    except StripeRejected:
        session = retrieve(session_id)
        if session is None or session["status"] == "open":
            raise
        return session


def promotion_code(code: str) -> dict[str, Any] | None:
    """Return the active promotion code with this customer-facing `code`, or else the newest inactive one; None if there is none.

    Its coupon is expanded.
    """
    expand = ["data.promotion.coupon.applies_to"]
    rows = call("get", "/v1/promotion_codes", code=code, limit=100, expand=expand)["data"]
    return next((each for each in rows if each["active"]), rows[0] if rows else None)
