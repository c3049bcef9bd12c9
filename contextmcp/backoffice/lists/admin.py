"""The list of saved views."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.text import capfirst

from accounts.authentication import staff
from accounts.models import SavedView
from contextmcp.backoffice.navigation import changelist
from contextmcp.common.admin_base import ReadOnlyAdmin


@admin.register(SavedView)
class SavedViewAdmin(ReadOnlyAdmin):
    """The user's own and all shared views. They are saved and deleted on their lists."""

    list_display = ["view", "model", "owner", "shared", "created_at"]
    list_display_links = None
    list_filter = ["shared"]
    list_select_related = ["owner"]
    search_fields = ["model__startswith", "owner__email__startswith"]
    fields = ["view", "name", "model", "query", "owner", "shared", "created_at"]
    readonly_fields = fields
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedView]:
        views: QuerySet[SavedView] = super().get_queryset(request)
        return views.filter(Q(owner=staff(request)) | Q(shared=True))

    @admin.display(description="view")
    def view(self, row: SavedView) -> str:
        link = '<a class="text-primary-600 underline dark:text-primary-400" href="{}?{}">{}</a>'
        return format_html(link, changelist(row.model), row.query, capfirst(row.name))
