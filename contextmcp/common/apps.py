from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "contextmcp.common"
    label = "common"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import metrics  # noqa: PLC0415 - its modules need the apps

        metrics.register(metrics.QueueCollector())
