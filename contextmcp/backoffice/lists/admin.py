"""The list of saved views."""

from django.apps import apps
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.text import capfirst

from accounts.authentication import staff
from accounts.models import SavedView
from contextmcp.common.admin_base import ReadOnlyAdmin
from contextmcp.common.admin_links import list_url


@admin.register(SavedView)
class SavedViewAdmin(ReadOnlyAdmin):
    """The user's own and all shared views. They are saved and deleted on their lists."""

    list_display = ["list_title", "view", "owner", "shared", "created_at"]
    list_filter = ["shared"]
    list_select_related = ["owner"]
    search_fields = ["model__startswith", "owner__email__startswith"]
    fields = ["view", "name", "model", "query", "owner", "shared", "created_at"]
    readonly_fields = fields
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedView]:
        views: QuerySet[SavedView] = super().get_queryset(request)
        return views.filter(Q(owner=staff(request)) | Q(shared=True))

    @admin.display(description="list", ordering="model")
    def list_title(self, row: SavedView) -> str:
        """Return the title of the list in the menu. Views of a model that was removed remain."""
        try:
            return capfirst(str(apps.get_model(row.model)._meta.verbose_name_plural))
        except LookupError:
            return row.model

    @admin.display(description="view")
    def view(self, row: SavedView) -> str:
        link = '<a class="text-primary-600 underline dark:text-primary-400" href="{}?{}">{}</a>'
        return format_html(link, list_url(row.model), row.query, capfirst(row.name))
