import structlog
from django.apps import AppConfig
from django.conf import settings

log = structlog.get_logger(__name__)


class BillingConfig(AppConfig):
    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from billing import checks, metrics, receivers  # noqa: F401, PLC0415 - models exist only now
        from billing.gateway.client import configure  # noqa: PLC0415
        from billing.mirror import admin, remedies  # noqa: PLC0415

        configure()
        remedies.apply()
        admin.register()
        metrics.register()
        if not settings.STRIPE_SECRET_KEY:
            log.warning("STRIPE_SECRET_KEY is not set: everything works but billing, which answers billing_not_configured.")
