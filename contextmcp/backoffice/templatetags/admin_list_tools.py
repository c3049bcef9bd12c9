"""The saved views and the export of a list, for its template."""

from typing import Any

from django import template
from django.urls import reverse

from contextmcp.backoffice.lists.permissions import SHARE, may_export
from contextmcp.backoffice.lists.saved_views import clean_query, views_of

register = template.Library()


@register.simple_tag(takes_context=True)
def list_tools(context: template.Context, changes: Any) -> dict[str, Any]:
    """Return the views of a list, and the URLs that save the current one and export the list (empty if the user may not export)."""
    request = context["request"]
    meta = changes.model._meta
    query = clean_query(request.GET.urlencode())
    names = [meta.app_label, meta.model_name]
    views = [
        {"view": view, "url": f"?{view.query}", "current": view.query == query, "deletable": view.owner_id == request.user.pk}
        for view in views_of(request.user, meta.label_lower)
    ]
    return {
        "views": views,
        "current": next((view for view in views if view["current"]), None),
        "query": query,
        "may_share": request.user.has_perm(SHARE),
        "save_url": f"{reverse('backoffice:save-view', args=names)}?{query}" if query else "",
        "export_url": f"{reverse('backoffice:export', args=names)}?{query}" if may_export(request.user, changes.model) else "",
    }
