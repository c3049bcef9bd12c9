"""Read the alerts that are currently displayed."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q

from accounts.models import Organization
from contextmcp.common.clock import now
from usage.models import UsageAlert

SPIKE_VISIBLE_FOR = timedelta(days=1)


@dataclass(frozen=True)
class ActiveAlerts:
    """`spikes` of the last day, newest first, and `thresholds`: by feature the highest one (in percent) reached in the current period."""

    spikes: tuple[UsageAlert, ...]
    thresholds: dict[str, int]


def active_alerts(organization: Organization) -> ActiveAlerts:
    """Return the organization's active alerts, with one query."""
    present = now(organization)
    recent = Q(kind=UsageAlert.Kind.SPIKE, occurred_at__gt=present - SPIKE_VISIBLE_FOR, occurred_at__lte=present)
    running = Q(period_start__lte=present, period_end__gt=present)
    spikes: list[UsageAlert] = []
    thresholds: dict[str, int] = {}
    for alert in UsageAlert.objects.filter(recent | running, organization=organization):
        if alert.threshold is not None:
            thresholds[alert.feature] = max(alert.threshold, thresholds.get(alert.feature, 0))
        elif present - SPIKE_VISIBLE_FOR < alert.occurred_at <= present:
            spikes.append(alert)
    return ActiveAlerts(tuple(spikes), thresholds)
