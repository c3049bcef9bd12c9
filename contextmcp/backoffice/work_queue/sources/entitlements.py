"""Entitlements that need a decision: gifts that end soon, and organizations over the limits of a smaller plan."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import Organization, WorkItem
from billing.over_limit import current_over_limits
from entitlements.catalog import CATALOG
from entitlements.models import GRANT_SOURCES, Grant
from entitlements.types import Source as GrantSource

from .base import Finding, RowSource, Source

EXPIRES_WITHIN = timedelta(days=7)
# A downgrade is the end of a grant. Organizations whose grant ended within this time are checked.
DOWNGRADED_WITHIN = timedelta(days=30)
# Maximum number of organizations to check, because each one takes a few queries.
MAX_CHECKED = 200
GIVEN = [source for source in GRANT_SOURCES if source != GrantSource.SUBSCRIPTION]


class ExpiringGifts(RowSource):
    """Gifts and other grants by staff that end within seven days."""

    kind = "expiring_gift"
    title = "Gifts ending soon"
    model = "entitlements.grant"

    def rows(self, present: datetime) -> QuerySet[Grant]:
        """Return the grants that end soon and were not ended early."""
        ending = Grant.objects.filter(source__in=GIVEN, ends_at__gt=present, ends_at__lte=present + EXPIRES_WITHIN, starts_at__lte=present)
        return ending.filter(organization__closed_at=None).select_related("plan_version").order_by("ends_at")

    def findings(self, rows: list[Grant]) -> Iterable[Finding]:
        """Return a problem for each grant, with its plan and end."""
        for grant in rows:
            assert grant.ends_at is not None
            title = f"{CATALOG.plan_title(grant.plan_version.plan)} by {grant.source} ends on {grant.ends_at:%Y-%m-%d %H:%M} UTC"
            yield Finding(str(grant.pk), title, f"Reason of the grant: {grant.reason}", grant.organization_id, grant.ends_at.isoformat())


class OverLimit(Source):
    """Organizations that use more than their plan includes since a larger plan ended. The object is the organization."""

    kind = "over_limit"
    title = "Over the limit after a downgrade"
    model = "accounts.organization"
    priority = WorkItem.Priority.NORMAL
    every_minutes = 10

    def find(self, present: datetime) -> list[Finding]:
        """Check the organizations whose grants ended recently."""
        ended = Grant.objects.filter(Q(ends_at__gt=present - DOWNGRADED_WITHIN, ends_at__lte=present), organization__closed_at=None)
        recent = list(dict.fromkeys(ended.order_by("-ends_at").values_list("organization_id", flat=True)[: 4 * MAX_CHECKED]))
        return self._check(recent[:MAX_CHECKED])

    def remaining(self, present: datetime, object_ids: Collection[str]) -> set[str]:
        """Return those of the organizations that are still over a limit."""
        return {finding.object_id for finding in self._check([UUID(each) for each in object_ids])}

    def _check(self, organization_ids: list[UUID]) -> list[Finding]:
        found = []
        for organization in Organization.objects.filter(pk__in=organization_ids, closed_at=None):
            if excess := current_over_limits(organization):
                used = ", ".join(f"{each.used:,} of {each.limit:,} {CATALOG.noun(each.feature, each.limit)}" for each in excess)
                title = f"{organization.name} uses more than its plan includes"
                found.append(Finding(str(organization.pk), title[:255], f"{used}. The excess is read-only.", organization.pk))
        return found


SOURCES = (ExpiringGifts, OverLimit)
