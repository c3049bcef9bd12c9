"""The search page. The form uses POST, because a query may contain a key and must not appear in URLs or logs."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from contextmcp.backoffice.decorators import page_context, staff_page

from . import billing, keys, people, records
from .query import Query, parse
from .results import PAGE_SIZE, Group, Resolver

RESOLVERS = [*people.RESOLVERS, *keys.RESOLVERS, *billing.RESOLVERS, *records.RESOLVERS]
MAX_PAGE = 500


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("q")
@staff_page(None)
def search(request: HttpRequest) -> HttpResponse:
    """Open the only hit, or list all hits by kind. With `kind` and `page`, list that page of one kind."""
    query = parse(request.POST.get("q", ""))
    kind, page = request.POST.get("kind", ""), _page_number(request.POST.get("page", ""))
    groups = find(request, query, kind, page) if query.text else []
    urls = {hit.url for group in groups for hit in group.hits if not hit.is_secondary}
    if len(urls) == 1 and not kind and not any(group.has_more for group in groups):
        return HttpResponseRedirect(urls.pop())
    context = page_context(request, "Search", query=query, groups=groups, is_token=bool(query.key and not query.key.is_key), kind=kind)
    return render(request, "backoffice/search.html", context)


def find(request: HttpRequest, query: Query, kind: str = "", page: int = 0) -> list[Group]:
    """Return the groups with hits among the kinds that the user may view. `page` is counted from 0."""
    start = page * PAGE_SIZE
    groups = []
    for resolver in _permitted(request, kind):
        hits = list(resolver.find(query, start, start + PAGE_SIZE + 1))
        if hits:
            groups.append(Group(resolver, hits[:PAGE_SIZE], page, len(hits) > PAGE_SIZE))
    return groups


def _permitted(request: HttpRequest, kind: str) -> list[Resolver]:
    return [each for each in RESOLVERS if request.user.has_perm(each.permission) and kind in ("", each.name)]


def _page_number(text: str) -> int:
    return min(int(text), MAX_PAGE) if text.isascii() and text.isdecimal() and len(text) < 5 else 0


urlpatterns = [path("find/", search, name="search")]
