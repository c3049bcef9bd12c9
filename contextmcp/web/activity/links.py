"""Where a member can act on an entry, or see what it is about. For staff the link of an entry is the admin page of its object.

A link that acts has a text of its own, such as "See plans". It is offered only to members whose role allows the action.
"""

from typing import NamedTuple
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager

from .types import Kind, Query

# The pages of members by kind. Kinds without an entry have no page.
_PAGES = {
    Kind.PLAN: "billing",
    Kind.PAYMENT: "billing",
    Kind.USAGE: "usage",
    Kind.REFUSAL: "usage",
    Kind.MEMBER: "team",
    Kind.KEY: "keys",
    Kind.APP: "connected-apps",
    Kind.WEBHOOK: "webhooks",
    Kind.ORGANIZATION: "settings",
}


class Link(NamedTuple):
    """A URL, and the text of a link that acts. An empty text stands for the title of the kind, an empty URL for no link."""

    url: str
    action: str = ""


def member_page(kind: Kind, query: Query) -> str:
    """Return the URL of the page for entries of this kind; empty if there is none."""
    if kind is Kind.PLAN and not query.opens_billing:
        return reverse("pricing")
    if kind is Kind.WEBHOOK and not query.may("organization:manage"):
        return ""
    return reverse(_PAGES[kind]) if kind in _PAGES else ""


def plans(query: Query) -> Link:
    """Return the link to the plans, for members who can change the plan."""
    return Link(reverse("pricing"), _("See plans")) if query.may("billing:manage") else Link(reverse("usage"), _("View usage"))


def payment(query: Query, *, is_open: bool) -> Link:
    """Return the link to the billing page, where an open invoice is paid."""
    if is_open and query.may("billing:manage"):
        return Link(reverse("billing"), _("Pay invoice"))
    return Link(member_page(Kind.PAYMENT, query))


def canceled(query: Query, *, has_ended: bool) -> Link:
    """Return the link of a canceled subscription: to resume it, or after its end to the plans."""
    if has_ended:
        return plans(query)
    if query.may("billing:manage"):
        return Link(reverse("billing"), _("Resume subscription"))
    return Link(member_page(Kind.PAYMENT, query))


def disabled_webhook(query: Query) -> Link:
    """Return where a disabled webhook endpoint is enabled again."""
    url = member_page(Kind.WEBHOOK, query)
    return Link(url, _("Enable it again") if url else "")


def undelivered(category: str, query: Query) -> Link:
    """Return where the address of an email that could not be delivered is changed."""
    if category.startswith("billing.") and query.may("organization:manage"):
        return Link(reverse("settings"), _("Check the address"))
    if category == "invitation" and query.may("users:manage"):
        return Link(reverse("team"), _("View invitations"))
    return Link("")


class Remedy(NamedTuple):
    """Where a member with the ability can remove the cause of refused requests: the name of a page and a place on it."""

    ability: str
    page: str
    text: object
    place: str = ""


_PLANS = Remedy("billing:manage", "pricing", gettext_lazy("See plans"))
_OVERAGE = Remedy("billing:manage", "billing", gettext_lazy("Set up overage"), "#overage")
_SEATS = Remedy("users:manage", "team", gettext_lazy("Manage members"))
_REMEDIES = {
    "quota_exceeded": _PLANS,
    "overage_cap_reached": Remedy("billing:manage", "billing", gettext_lazy("Raise the cap"), "#overage"),
    "limit_reached": _PLANS,
    "rate_limited": _PLANS,
    "feature_not_available": _PLANS,
    "tool_not_available": _PLANS,
    "plan_inactive": Remedy("billing:manage", "billing", gettext_lazy("View billing")),
    "payment_required": Remedy("billing:manage", "billing", gettext_lazy("Pay invoice")),
    "insufficient_scope": Remedy("keys:write", "keys", gettext_lazy("Create another key"), "#create"),
    "permission_denied": Remedy("users:manage", "team", gettext_lazy("Change a role")),
}
_MALFORMED = frozenset(
    {"validation_error", "malformed_request", "payload_too_large", "idempotency_conflict", "hold_already_ended", "release_exceeds_usage"}
)


def refusal(code: str, feature: str, query: Query) -> Link:
    """Return where the cause of refused requests can be removed. A member whose role cannot remove it gets the page with the usage."""
    if code in _MALFORMED:
        return Link(reverse("docs"), _("Open the API reference"))
    remedy = _REMEDIES.get(code)
    if code == "quota_exceeded" and _sells_overage(feature, query):
        remedy = _OVERAGE
    elif code == "limit_reached" and CATALOG.seats and feature == CATALOG.seats.name:
        remedy = _SEATS
    if remedy is None:
        return Link(member_page(Kind.REFUSAL, query))
    if query.may(remedy.ability):
        return Link(f"{reverse(remedy.page)}{remedy.place}", str(remedy.text))
    return Link(reverse("usage"), _("View usage"))


def usage_of_hour(feature: str, day: str) -> Link:
    """Return the link to the usage of a feature by API key on one day."""
    selected = {"feature": feature, "by": "key", "period": "custom", "since": day, "until": day}
    return Link(f"{reverse('usage')}?{urlencode(selected)}", _("See which key"))


def _sells_overage(feature: str, query: Query) -> bool:
    """Return whether the organization's plan sells units beyond this quota. Entitlements are cached."""
    entitlement = EntitlementsManager(query.organization).entitlements().features.get(feature)
    return entitlement is not None and entitlement.overage_unit_amount is not None
