from importlib import import_module

from django.apps import AppConfig, apps


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # drf-spectacular knows an extension once its module was imported. The gate does without both.
        if apps.is_installed("drf_spectacular"):
            import_module("accounts.api.openapi")
        if apps.is_installed("allauth.account"):
            import_module("accounts.security_events")
