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
    """`spikes` of the last day, newest first, and by feature the highest threshold (in percent) `reached` in the current period."""

    spikes: tuple[UsageAlert, ...]
    reached: dict[str, int]


def active_alerts(organization: Organization) -> ActiveAlerts:
    """Return the organization's active alerts, with one query."""
    present = now(organization)
    recent = Q(kind=UsageAlert.Kind.SPIKE, occurred_at__gt=present - SPIKE_VISIBLE_FOR, occurred_at__lte=present)
    running = Q(period_start__lte=present, period_end__gt=present)
    spikes: list[UsageAlert] = []
    reached: dict[str, int] = {}
    for alert in UsageAlert.objects.filter(recent | running, organization=organization):
        if alert.threshold is not None:
            reached[alert.feature] = max(alert.threshold, reached.get(alert.feature, 0))
        elif present - SPIKE_VISIBLE_FOR < alert.occurred_at <= present:
            spikes.append(alert)
    return ActiveAlerts(tuple(spikes), reached)
