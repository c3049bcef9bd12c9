"""Endpoints that save and delete views of lists and export lists."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect, QueryDict, StreamingHttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from accounts.authentication import staff
from contextmcp.backoffice.decorators import staff_page
from contextmcp.backoffice.errors import InvalidView
from contextmcp.backoffice.reauthentication import require_recent
from contextmcp.common.admin_links import list_url
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound

from .export import export
from .permissions import SHARE, may_export
from .saved_views import clean_query, delete_view, save_view


def _model_admin(request: HttpRequest, app_label: str, model_name: str) -> Any:
    """Return the admin class of a list that the user may view."""
    found = [each for model, each in admin.site._registry.items() if model._meta.label_lower == f"{app_label}.{model_name}"]
    if not found:
        raise Http404
    if not found[0].has_view_permission(request):
        raise PermissionDenied
    return found[0]


@staff_page(None)
@require_POST
def save(request: HttpRequest, app_label: str, model_name: str) -> HttpResponseBase:
    """Save the filters and search of a list, and show it."""
    _model_admin(request, app_label, model_name)
    shared = "shared" in request.POST
    if shared and not request.user.has_perm(SHARE):
        raise PermissionDenied
    label = f"{app_label}.{model_name}"
    query = clean_query(request.GET.urlencode())
    try:
        view = save_view(staff(request), label, request.POST.get("name", ""), query, shared=shared)
    except InvalidView as error:
        messages.error(request, error.text)
    else:
        messages.success(request, f"The view “{view.name}” was saved.")
    return HttpResponseRedirect(f"{list_url(label)}?{query}")


@staff_page(None)
@require_POST
def delete(request: HttpRequest, view_id: int) -> HttpResponseBase:
    try:
        view = delete_view(staff(request), view_id)
    except NotFound as error:
        raise Http404 from error
    messages.success(request, f"The view “{view.name}” was deleted.")
    return HttpResponseRedirect(list_url(view.model))


@staff_page(None)
@require_POST
def export_list(request: HttpRequest, app_label: str, model_name: str) -> HttpResponseBase:
    """Return the rows of a list, with its filters and search, as CSV.

    The file contains data of many customers, so a recent authentication is required.
    """
    model_admin = _model_admin(request, app_label, model_name)
    if not may_export(request.user, model_admin.model):
        raise PermissionDenied
    if (answer := require_recent(request)) is not None:
        return answer
    query = clean_query(request.GET.urlencode())
    # All pages are exported, not only the current one.
    request.GET = QueryDict(query)
    try:
        changes = model_admin.get_changelist_instance(request)
    except IncorrectLookupParameters:
        messages.error(request, "The filters are not valid. Nothing was exported.")
        return HttpResponseRedirect(list_url(f"{app_label}.{model_name}"))
    name = f"{app_label}-{model_name}-{now():%Y-%m-%d-%H%M}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    rows = export(changes, staff(request), query)
    return StreamingHttpResponse(rows, content_type="text/csv; charset=utf-8", headers=headers)


urlpatterns: list[URLPattern] = [
    path("<slug:app_label>/<slug:model_name>/export/", export_list, name="export"),
    path("<slug:app_label>/<slug:model_name>/views/", save, name="save-view"),
    path("views/<int:view_id>/delete/", delete, name="delete-view"),
]
