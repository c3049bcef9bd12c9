"""The admin site: django-unfold's site, which computes the list of models only if a template uses it."""

from typing import Any

from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from unfold.sites import UnfoldAdminSite


class StaffAdminSite(UnfoldAdminSite):  # type: ignore[misc]
    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """Return the models by app, evaluated when a template uses them.

        Django adds the list to the context of every page and computes several permissions and URLs for each model. The sidebar of this
        project shows its own menu instead (`contextmcp.backoffice.navigation`).
        """
        read = super().get_app_list
        return SimpleLazyObject(lambda: read(request, app_label))


class AdminSiteConfig(AdminConfig):
    """Replaces "django.contrib.admin" in INSTALLED_APPS."""

    default = False
    default_site = "contextmcp.common.admin_site.StaffAdminSite"
