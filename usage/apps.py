from django.apps import AppConfig

from contextmcp.common import pg_binary


class UsageConfig(AppConfig):
    name = "usage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, metrics  # noqa: F401, PLC0415 - models can be imported once the apps are loaded

        pg_binary.register()
        metrics.register()
