"""Suspicious activity: guessed keys, revoked keys that are still in use, and usage spikes."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import ApiKey, WorkItem
from contextmcp.common.admin_links import list_url
from contextmcp.common.incident_totals import totals
from contextmcp.common.incidents import REVOKED_KEY, UNKNOWN_KEY
from entitlements.catalog import CATALOG
from usage.models import UsageAlert

from .base import LIMIT, Finding, RowSource, Source

WITHIN = timedelta(hours=1)
# Different unknown keys from one network address within an hour. A client with a mistyped key repeats one key, so it stays below this
# number.
GUESSES = 100
# Requests with a revoked key within an hour. Each process counts at most one per 30 seconds.
REVOKED_USES = 5
RECENT_SPIKES = timedelta(days=7)


class KeyGuessing(Source):
    """IP addresses that send many different unknown keys."""

    kind = "key_guessing"
    title = "Guessed API keys"
    model = "accounts.apikey"
    priority = WorkItem.Priority.HIGH

    def find(self, present: datetime) -> list[Finding]:
        """Return the addresses with many unknown keys within the last hour."""
        found: list[Finding] = []
        for address, count in totals(UNKNOWN_KEY, WITHIN).items():
            if count >= GUESSES and len(found) < LIMIT:
                title = f"{address or 'An unknown address'} is trying unknown API keys"
                found.append(Finding(address, title, "Consider blocking the address at your firewall or proxy."))
        return found

    def remaining(self, present: datetime, object_ids: Collection[str]) -> set[str]:
        """Return the addresses that have sent an unknown key within the last hour."""
        return totals(UNKNOWN_KEY, WITHIN).keys() & set(object_ids)

    def url(self, object_id: str) -> str:
        """Return the list of keys: an unknown key has no page."""
        return list_url("accounts.apikey")


class RevokedKeysInUse(Source):
    """Revoked keys that clients still send with the correct secret: a client was not updated, or the key was leaked."""

    kind = "leaked_key"
    title = "Revoked keys in use"
    model = "accounts.apikey"
    priority = WorkItem.Priority.HIGH

    def find(self, present: datetime) -> list[Finding]:
        """Return the revoked keys that were sent repeatedly within the last hour."""
        uses = {_uuid(key): count for key, count in totals(REVOKED_KEY, WITHIN).items() if count >= REVOKED_USES}
        keys = ApiKey.objects.filter(pk__in=[key for key in list(uses)[:LIMIT] if key]).exclude(revoked_at=None)
        return [
            Finding(
                str(key.pk),
                f"The revoked key {key.name} ({key.hint}) is still in use",
                "The key was leaked, or a client was not updated. Its requests are rejected.",
                key.organization_id,
            )
            for key in keys
        ]

    def remaining(self, present: datetime, object_ids: Collection[str]) -> set[str]:
        """Return the keys that were sent within the last hour."""
        return totals(REVOKED_KEY, WITHIN).keys() & set(object_ids)


class UsageSpikes(RowSource):
    """Hours of unusually high usage."""

    kind = "usage_spike"
    title = "Usage spikes"
    model = "usage.usagealert"
    ends = False

    def rows(self, present: datetime) -> QuerySet[UsageAlert]:
        """Return the spikes of the last days."""
        return UsageAlert.objects.filter(kind=UsageAlert.Kind.SPIKE, created_at__gte=present - RECENT_SPIKES).order_by("-created_at")

    def findings(self, rows: list[UsageAlert]) -> Iterable[Finding]:
        """Return a problem for each hour, compared with the average usage."""
        for alert in rows:
            title = f"{alert.used:,} {CATALOG.noun(alert.feature, alert.used)} in one hour"
            detail = f"The average of the previous hours is {alert.baseline:,.0f}." if alert.baseline is not None else ""
            yield Finding(str(alert.pk), title, detail, alert.organization_id)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


SOURCES = (KeyGuessing, RevokedKeysInUse, UsageSpikes)
