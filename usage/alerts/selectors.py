"""Alerts that still matter, to show."""

from datetime import timedelta

from accounts.models import Organization
from contextmcp.common.clock import now
from usage.models import UsageAlert

SPIKE_SHOWN = timedelta(days=1)


def recent_spikes(organization: Organization) -> list[UsageAlert]:
    """Of the last day, the latest first."""
    present = now(organization)
    return list(
        UsageAlert.objects.filter(
            organization=organization, kind=UsageAlert.Kind.SPIKE, happened_at__gt=present - SPIKE_SHOWN, happened_at__lte=present
        )
    )


def reached(organization: Organization) -> dict[str, int]:
    """By feature, the highest threshold (in per cent) that was told of in the running period."""
    present = now(organization)
    found: dict[str, int] = {}
    for alert in UsageAlert.objects.filter(organization=organization, period_start__lte=present, period_end__gt=present):
        if alert.threshold is not None:
            found[alert.feature] = max(alert.threshold, found.get(alert.feature, 0))
    return found
