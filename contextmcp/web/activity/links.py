"""The link of an entry: the admin page of its object for staff, and the related settings page for members."""

from typing import Any
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

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
    Kind.ORGANIZATION: "settings",
}


def member_page(kind: Kind, query: Query) -> str:
    """Return the URL of the page for entries of this kind; empty if there is none."""
    if kind is Kind.PLAN and not query.opens_billing:
        return reverse("pricing")
    return reverse(_PAGES[kind]) if kind in _PAGES else ""


def admin_list(model: str, **filters: Any) -> str:
    """Return the URL of the admin list of a model with filters; empty if the model has no page."""
    try:
        page = reverse(f"admin:{model.replace('.', '_')}_changelist")
    except NoReverseMatch:
        return ""
    return f"{page}?{urlencode(filters)}"


def admin_page(model: str, key: Any) -> str:
    """Return the URL of the admin page of a row. `model` is "app.model". Empty if the model has no page or the key is empty."""
    if key in (None, ""):
        return ""
    try:
        return reverse(f"admin:{model.replace('.', '_')}_change", args=[key])
    except NoReverseMatch:
        return ""
