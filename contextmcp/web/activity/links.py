"""The link of an entry for members: the related page of the account. For staff it is the admin page of its object."""

from django.urls import reverse

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
