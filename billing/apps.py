import structlog
from django.apps import AppConfig
from django.conf import settings

log = structlog.get_logger(__name__)


class BillingConfig(AppConfig):
    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from billing import admin_alerts, admin_plan_moves, checks, metrics, receivers  # noqa: F401, PLC0415 - models can be imported once the apps are loaded
        from billing.stripe import djstripe_patches  # noqa: PLC0415
        from billing.stripe.gateway.client import configure  # noqa: PLC0415
        from billing.stripe.mirror import admin  # noqa: PLC0415

        configure()
        djstripe_patches.apply()
        admin.register()
        metrics.register()
        if not settings.STRIPE_SECRET_KEY:
            log.warning("STRIPE_SECRET_KEY is not set. Billing endpoints return billing_not_configured; all other features work.")
