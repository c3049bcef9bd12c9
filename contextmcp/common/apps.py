from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "contextmcp.common"
    label = "common"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from rest_framework.views import APIView  # noqa: PLC0415 - its modules need the apps

        from . import metrics  # noqa: PLC0415

        # The API does not support OPTIONS (DEFAULT_METADATA_CLASS is None), so the header `Allow` must not list it.
        APIView.http_method_names = [name for name in APIView.http_method_names if name != "options"]
        metrics.register(metrics.QueueCollector())
