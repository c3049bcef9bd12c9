from django.apps import AppConfig

from contextmcp.common import pg_binary


class UsageConfig(AppConfig):
    name = "usage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, metrics  # noqa: F401, PLC0415 - they import models, which exist only now

        pg_binary.register()
        metrics.register()
