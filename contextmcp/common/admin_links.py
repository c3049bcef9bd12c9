"""URLs of the admin's pages. An object without a page has the URL ""."""

from functools import cache
from typing import Any

from django.db.models import Model
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.http import urlencode


def list_url(label: str, **filters: Any) -> str:
    """Return the URL of the list of a model ("app.model") with filters."""
    url = _list_url(label, get_script_prefix())
    return f"{url}?{urlencode(filters)}" if url and filters else url


# The sidebar of each page contains the URLs of all lists. They are cached, because they depend only on the script prefix.
@cache
def _list_url(label: str, prefix: str) -> str:
    try:
        return reverse(f"admin:{label.replace('.', '_')}_changelist")
    except NoReverseMatch:
        return ""


def page_url(label: str, key: Any) -> str:
    """Return the URL of the page of the row of a model ("app.model") with this primary key, or "" for an empty key."""
    if key in (None, ""):
        return ""
    try:
        return reverse(f"admin:{label.replace('.', '_')}_change", args=[key])
    except NoReverseMatch:
        return ""


def object_url(row: Model) -> str:
    """Return the URL of a row's page."""
    return page_url(row._meta.label_lower, row.pk)
