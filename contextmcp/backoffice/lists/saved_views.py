"""Saved views: named filters and searches of a list, private to a staff member or shared with all staff."""

from urllib.parse import parse_qsl, urlencode

from django.db.models import Q, QuerySet

from accounts import audit
from accounts.models import SavedView, User
from contextmcp.backoffice.errors import InvalidView
from contextmcp.backoffice.search.query import without_secrets
from contextmcp.common.admin_lists import AFTER, BEFORE
from contextmcp.common.errors import NotFound

MAX_NAME, MAX_QUERY = 60, 2000
# Query parameters that are not saved: a view selects rows, but not a page of the list or a popup window.
_LEFT_OUT = {AFTER, BEFORE, "e", "o", "p", "_popup", "_to_field"}


def views_of(user: User, model: str) -> QuerySet[SavedView]:
    """Return the user's own and all shared views of a list."""
    return SavedView.objects.filter(Q(owner=user) | Q(shared=True), model=model).select_related("owner").order_by("name", "id")


def save_view(user: User, model: str, name: str, query: str, *, shared: bool) -> SavedView:
    """Save a view of a list. The user's own view with the same name is replaced. Shared views are recorded in the audit log.

    Raises:
        InvalidView: the name or the query is empty or too long.
    """
    name, query = " ".join(name.split()), clean_query(query)
    if not name or len(name) > MAX_NAME:
        raise InvalidView
    if not query or len(query) > MAX_QUERY:
        raise InvalidView("Filter or search the list first. A view saves its filters and search.")
    view, _ = SavedView.objects.update_or_create(owner=user, model=model, name=name, defaults={"query": query, "shared": shared})
    if shared:
        audit.record("saved_view.shared", organization=None, actor=user, target=f"{model}: {name}", after={"query": query})
    return view


def delete_view(user: User, view_id: int) -> SavedView:
    """Delete a view. Owners (superusers) can also delete shared views of other users.

    Raises:
        NotFound: the view does not exist, or the user may not delete it.
    """
    mine = Q(owner=user) | Q(shared=True) if user.is_superuser else Q(owner=user)
    view = SavedView.objects.filter(mine, pk=view_id).first()
    if view is None:
        raise NotFound
    deleted = SavedView(model=view.model, name=view.name)
    view.delete()
    if view.shared:
        audit.record("saved_view.deleted", organization=None, actor=user, target=f"{view.model}: {view.name}", before={"query": view.query})
    return deleted


def clean_query(query: str) -> str:
    """Return the filters and the search of a query string. Secrets in the search are removed."""
    pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    return urlencode(
        sorted((name, without_secrets(value) if name == "q" else value) for name, value in pairs if name not in _LEFT_OUT and value)
    )
