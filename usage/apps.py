from django.apps import AppConfig

from . import binary


class UsageConfig(AppConfig):
    name = "usage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401, PLC0415 - they import models, which exist only now

        binary.register()
