"""The record of refusals in tests."""

from __future__ import annotations

from collections import Counter

from django.db import connection

from accounts.models import Organization
from usage.models import RefusalSummary
from usage.refusals.recording import COUNTS


def flush() -> None:
    """Write the counts of this process."""
    connection.ensure_connection()
    COUNTS.flush(connection.connection)


def recorded(organization: Organization, *fields: str) -> dict[object, int]:
    """Return the recorded refusals by code, or by these fields. A test may run in two minutes."""
    counts: Counter[object] = Counter()
    for *values, count in RefusalSummary.objects.filter(organization=organization).values_list(*(fields or ("code",)), "count"):
        counts[values[0] if len(values) == 1 else tuple(values)] += count
    return dict(counts)
