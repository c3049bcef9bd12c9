"""Why a request was refused, in words, by the code of the error."""

from contextmcp.common.text import words
from entitlements.catalog import CATALOG
from entitlements.types import Kind as FeatureKind

# "{noun}" and "{title}" are those of the feature, if the refusal concerns one. Of two texts, the second is for refusals without a feature.
_REASONS: dict[str, tuple[str, str]] = {
    "quota_exceeded": ("the monthly limit of {noun} was used up", "a monthly limit was used up"),
    "overage_cap_reached": ("the monthly spending cap for {noun} was reached", "the monthly spending cap was reached"),
    "limit_reached": ("the limit of {noun} was reached", "a limit was reached"),
    "rate_limited": ("the limit of {noun} per minute was reached", "the limit of requests per minute was reached"),
    "feature_not_available": ("the plan does not include {title}", "the plan does not include the feature"),
    "plan_inactive": ("the plan is not active", "the plan is not active"),
    "payment_required": ("a payment is overdue, so the plan is paused", "a payment is overdue, so the plan is paused"),
    "unknown_feature": ("the feature is unknown", "the feature is unknown"),
    "insufficient_scope": ("the key lacks the required scope", "the key lacks the required scope"),
    "permission_denied": ("the role of the member does not allow it", "the role of the member does not allow it"),
    "tool_not_available": ("the MCP tool is not available to the plan", "the MCP tool is not available to the plan"),
    "validation_error": ("the request was not valid", "the request was not valid"),
    "malformed_request": ("the request was not valid JSON", "the request was not valid JSON"),
    "payload_too_large": ("the request was too large", "the request was too large"),
    "idempotency_conflict": ("an idempotency key was used for another request", "an idempotency key was used for another request"),
    "hold_already_ended": ("the hold had already ended", "the hold had already ended"),
    "release_exceeds_usage": ("more {noun} were released than were in use", "more units were released than were in use"),
    "temporarily_unavailable": ("the service was unavailable for a moment", "the service was unavailable for a moment"),
    "overloaded": ("the service was overloaded for a moment", "the service was overloaded for a moment"),
    "not_found": ("the object does not exist", "the object does not exist"),
}


def reason(code: str, feature: str) -> str:
    """Return the reason as text that follows a colon. An unknown code is returned as words."""
    if code not in _REASONS:
        return words(code)
    with_feature, without = _REASONS[code]
    if not feature:
        return without
    declared = CATALOG.feature(feature)
    if code == "rate_limited" and declared is not None and declared.kind is not FeatureKind.RATE_LIMIT:
        return without
    return with_feature.format(noun=CATALOG.noun(feature), title=CATALOG.feature_title(feature))
