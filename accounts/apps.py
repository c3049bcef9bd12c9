from importlib import import_module

from django.apps import AppConfig, apps


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Importing the modules registers the OpenAPI extensions and signal receivers. The gate does not install these packages.
        if apps.is_installed("drf_spectacular"):
            import_module("accounts.api.openapi")
        if apps.is_installed("allauth.account"):
            import_module("accounts.security_events")
            import_module("accounts.oauth.service_credentials")
            import_module("accounts.checks")
