from importlib import import_module

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class SiteConfig(AppConfig):
    name = "contextmcp.site"
    label = "site"

    def ready(self) -> None:
        # The last app with models: when its tables are migrated, the permissions of all apps exist.
        roles = import_module("contextmcp.site.roles")
        post_migrate.connect(roles.sync_roles, sender=apps.get_app_config("billing"))
