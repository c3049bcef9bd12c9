"""Searches of lists for a complete key. The query of a list is part of its URL, which browsers, proxies and logs store.

The page's script removes the secret before it sends the form. If the form is sent without the script, this middleware redirects to the
key's list, so that the secret is not in the URL of the page and in its links.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.key_format import QuotedKey, quoted_key
from accounts.models import ApiKey, ServiceKey
from contextmcp.common.admin_links import list_url

from .search.query import without_secrets

# Search parameters of the admin's lists and of the fields that search for related rows.
_PARAMETERS = ("q", "term")
_LISTS = {"sk": ApiKey, "svc": ServiceKey}


class SecretSearchMiddleware:
    """Redirects searches for keys and other secrets to a URL without the secret."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        # Django sets these attributes on the views of admin pages. Other views do not have the query of a search in their URL.
        model_admin = getattr(view, "model_admin", None)
        is_admin = model_admin is not None or getattr(view, "admin_site", None) is not None
        if request.method not in {"GET", "HEAD"} or not is_admin:
            return None
        safe = {name: without_secrets(text) for name in _PARAMETERS if (text := request.GET.get(name))}
        if all(request.GET[name] == text for name, text in safe.items()):
            return None
        key = quoted_key(request.GET.get("q", ""))
        if model_admin is not None and key is not None and (url := _list_of(request, key)):
            return HttpResponseRedirect(url)
        query = request.GET.copy()
        for name, text in safe.items():
            query[name] = text
        return HttpResponseRedirect(f"{request.path}?{query.urlencode()}")


def _list_of(request: HttpRequest, key: QuotedKey) -> str:
    """Return the list of keys with a search for this key, or an empty string if the user may not view it."""
    model = _LISTS.get(key.kind)
    if model is None or not admin.site._registry[model].has_view_permission(request):
        return ""
    return list_url(model._meta.label_lower, q=key.public_id)
