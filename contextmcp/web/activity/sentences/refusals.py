"""Why requests were refused, by the code of the error: "Refused: monthly sessions used up, key “CI”, 41 times."."""

from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from contextmcp.common.text import words
from entitlements.catalog import CATALOG
from entitlements.types import Kind as FeatureKind


class Reason(NamedTuple):
    """The reason of a refusal with "%(noun)s" or "%(title)s" of the feature, and the reason of one without a feature."""

    with_feature: object
    without: object


def _same(text: object) -> Reason:
    return Reason(text, text)


_REASONS = {
    "quota_exceeded": Reason(gettext_lazy("monthly %(noun)s used up"), gettext_lazy("a monthly limit used up")),
    "overage_cap_reached": Reason(gettext_lazy("monthly spending cap for %(noun)s reached"), gettext_lazy("monthly spending cap reached")),
    "limit_reached": Reason(gettext_lazy("limit of %(noun)s reached"), gettext_lazy("a limit reached")),
    "rate_limited": Reason(gettext_lazy("too many %(noun)s per minute"), gettext_lazy("too many requests per minute")),
    "feature_not_available": Reason(gettext_lazy("%(title)s not in the plan"), gettext_lazy("a feature not in the plan")),
    "plan_inactive": _same(gettext_lazy("plan not active")),
    "payment_required": _same(gettext_lazy("plan paused because a payment is overdue")),
    "unknown_feature": _same(gettext_lazy("unknown feature")),
    "insufficient_scope": _same(gettext_lazy("scope missing")),
    "permission_denied": _same(gettext_lazy("not allowed for the member's role")),
    "tool_not_available": _same(gettext_lazy("MCP tool not in the plan")),
    "validation_error": _same(gettext_lazy("invalid request")),
    "malformed_request": _same(gettext_lazy("request that is not valid JSON")),
    "payload_too_large": _same(gettext_lazy("request too large")),
    "idempotency_conflict": _same(gettext_lazy("idempotency key used for another request")),
    "hold_already_ended": _same(gettext_lazy("hold already ended")),
    "release_exceeds_usage": Reason(gettext_lazy("more %(noun)s released than in use"), gettext_lazy("more units released than in use")),
    "temporarily_unavailable": _same(gettext_lazy("service unavailable for a moment")),
    "overloaded": _same(gettext_lazy("service overloaded for a moment")),
    "not_found": _same(gettext_lazy("object not found")),
}


def refused(code: str, feature: str, credential: str, tool: str, total: int) -> str:
    """Return the sentence of refused requests. `credential` is empty if the key or app is unknown or may not be seen."""
    often = ngettext("once", "%(count)s times", total) % {"count": f"{total:,}"}
    parts = {"reason": reason(code, feature), "credential": credential, "tool": tool, "often": often}
    if credential and tool:
        return _("Refused: %(reason)s, %(credential)s, tool “%(tool)s”, %(often)s.") % parts
    if credential:
        return _("Refused: %(reason)s, %(credential)s, %(often)s.") % parts
    if tool:
        return _("Refused: %(reason)s, tool “%(tool)s”, %(often)s.") % parts
    return _("Refused: %(reason)s, %(often)s.") % parts


def reason(code: str, feature: str) -> str:
    """Return the reason as text that follows a colon. An unknown code is returned as words."""
    if code not in _REASONS:
        return words(code)
    found = _REASONS[code]
    if not feature:
        return str(found.without)
    declared = CATALOG.feature(feature)
    if code == "rate_limited" and declared is not None and declared.kind is not FeatureKind.RATE_LIMIT:
        return str(found.without)
    return str(found.with_feature) % {"noun": CATALOG.noun(feature), "title": CATALOG.feature_title(feature)}
