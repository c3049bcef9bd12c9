"""Queries for the counts of incidents that all processes have written."""

from collections import Counter
from datetime import timedelta

from .clock import now
from .models import IncidentCount

RETENTION = timedelta(days=7)


def totals(kind: str, within: timedelta) -> dict[str, int]:
    """Return the number of incidents of `kind` in the last `within` for each subject, largest first."""
    rows = IncidentCount.objects.filter(kind=kind, minute__gte=now() - within).values_list("subject", "count")
    counts: Counter[str] = Counter()
    for subject, count in rows:
        counts[subject] += count
    return dict(counts.most_common())


def purge() -> None:
    """Delete counts older than RETENTION."""
    IncidentCount.objects.filter(minute__lt=now() - RETENTION).delete()
