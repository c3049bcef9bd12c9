"""Generate all rows in one transaction."""

from collections.abc import Callable

from django.conf import settings
from django.db import connection, transaction

from accounts.models import Organization
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict
from entitlements.publish import publish

from . import accounts, billing, usage
from .seeder import Seeder

PRODUCTION = "contextmcp.settings.production"


class SeedRefused(Conflict):
    code = "seed_refused"
    message = "Generated data is only for an empty database of a test deployment."


def seed(scale: float = 1.0, number: int = 1, say: Callable[[str], None] = lambda line: None) -> None:
    """Fill an empty database. `number` is the seed of the generated values.

    Raises:
        SeedRefused: the deployment is live or a production one, or the database contains organizations.
    """
    if settings.KEY_ENVIRONMENT == "live" or settings.STRIPE_LIVE_MODE or settings.SETTINGS_MODULE == PRODUCTION:
        raise SeedRefused("This is a production deployment. Generated data is only for an empty database of a test deployment.")
    if Organization.objects.exists():
        raise SeedRefused("The database contains organizations. Generated data is only for an empty database.")
    publish()
    with transaction.atomic():
        to = Seeder(scale, number, now().replace(minute=0, second=0, microsecond=0), say)
        to.prepare()
        to.drop_indexes([*accounts.LABELS, *billing.LABELS, *usage.LABELS])
        for part in (accounts, billing, usage):
            part.seed(to)
        to.create_indexes()


def analyze() -> None:
    """Update the planner's statistics and the visibility map. Call it outside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM (ANALYZE)")
