from importlib import import_module

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class BackofficeConfig(AppConfig):
    name = "contextmcp.backoffice"
    label = "backoffice"

    def ready(self) -> None:
        # billing is the last app with models: after its migrations the permissions of all apps exist.
        roles = import_module("contextmcp.backoffice.roles")
        # Registers the receiver that ends an impersonation when its member of staff signs out.
        import_module("contextmcp.backoffice.impersonation.views")
        post_migrate.connect(roles.sync_roles, sender=apps.get_app_config("billing"))
