"""Corrections of a customer's usage by staff: reduce it, add to it, or credit units to the period.

Corrections are usage events like those of service keys, so that counters, history and overage include them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.db import transaction

from accounts.audit import record
from accounts.models import Organization, User
from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind

from .ingest.event_parsing import EventBody
from .models import UsageCounter
from .tracker import UsageTracker

Change = Literal["reduce", "add", "credit"]


@dataclass(frozen=True, slots=True)
class Correction:
    """A change of `amount` units of a quota in the usage month that contains `at`. The default is the current usage month."""

    feature: str
    change: Change
    amount: int
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """The usage of a quota in one usage month, in units. `included` contains the credited units and is None if the quota is unlimited."""

    used: int
    credited: int
    included: int | None
    start: datetime
    end: datetime

    def after(self, correction: Correction) -> "PeriodUsage":
        """Return the usage after a correction, which subtracts at most the units counted."""
        used, credited, included, amount = self.used, self.credited, self.included, correction.amount
        if correction.change == "credit":
            credited, included = credited + amount, None if included is None else included + amount
        else:
            used = used + amount if correction.change == "add" else used - min(amount, max(used, 0))
        return PeriodUsage(used, credited, included, self.start, self.end)


def quotas() -> list[str]:
    """Return the features whose usage can be corrected."""
    return [feature.name for feature in CATALOG.features if feature.kind is Kind.QUOTA]


def usage_at(organization: Organization, feature: str, at: datetime | None = None) -> PeriodUsage:
    """Return the usage of a quota in the usage month that contains `at`, with the limit of the current plan. Raises `UnknownFeature`."""
    entitlement = EntitlementsManager(organization).require(feature)
    period = entitlement.period(at or now(organization))
    counter = UsageCounter.objects.filter(organization=organization, feature=feature, period_start=period.start).first()
    used, credited = (counter.used, counter.credited) if counter else (0, 0)
    included = None if entitlement.limit is None else entitlement.limit + credited
    return PeriodUsage(used, credited, included, period.start, period.end)


def correct_usage(organization: Organization, correction: Correction, actor: User, reason: str, key: UUID) -> PeriodUsage:
    """Record a correction with one audit event, and return the usage afterwards. `key` is the idempotency key.

    Raises `FeatureNotAvailable`, or `ValidationFailed`, for example if `correction.at` is too long ago.
    """
    with transaction.atomic():
        before = usage_at(organization, correction.feature, correction.at)
        amount = correction.amount if correction.change == "add" else -correction.amount
        body = EventBody(
            correction.feature,
            amount,
            idempotency_key=f"staff-{key}",
            occurred_at=correction.at,
            reason=reason,
            credit=correction.change == "credit",
        )
        [result] = UsageTracker(organization).record_events([body])
        if isinstance(result.error, DomainError):
            raise result.error
        after = usage_at(organization, correction.feature, correction.at)
        action = "usage.credited" if correction.change == "credit" else "usage.corrected"
        record(
            action,
            organization=organization,
            actor=actor,
            target=correction.feature,
            before=_document(before),
            after={**_document(after), "change": correction.change, "amount": correction.amount},
            reason=reason,
        )
    return after


def _document(usage: PeriodUsage) -> dict[str, Any]:
    return {"used": usage.used, "credited": usage.credited, "period_start": usage.start.isoformat()}
