"""Events of many hours, keys, members and tools, with their summaries and counters."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import Organization
from entitlements.manager import EntitlementsManager
from usage import selectors
from usage.models import NO_KEY, NO_MEMBER, UsageCounter, UsageEvent
from usage.store.rebuild import rebuild_summaries


def record(organization: Organization, *rows: dict[str, Any]) -> None:
    """Record one event for each row, at `occurred_at`, and rebuild the organization's summaries."""
    defaults = {"feature": "sessions", "amount": 1, "key_id": NO_KEY, "member_id": NO_MEMBER}
    UsageEvent.objects.bulk_create(
        UsageEvent(organization_id=organization.pk, recorded_at=datetime.now(row["occurred_at"].tzinfo), **{**defaults, **row})
        for row in rows
    )
    rebuild_summaries(str(organization.pk))


def spread(
    seed: int, since: datetime, until: datetime, number: int, keys: Sequence[UUID], members: Sequence[int], tools: Sequence[str | None]
) -> list[dict[str, Any]]:
    """Return `number` rows at random times with random amounts, keys, members and tools, which are the same for the same `seed`."""
    draw = random.Random(seed)
    length = (until - since).total_seconds()
    return [
        {
            "occurred_at": since + timedelta(seconds=draw.uniform(0, length)),
            "amount": draw.choice([1, 1, 2, 3, 8]),
            "key_id": draw.choice(keys),
            "member_id": draw.choice(members),
            "tool": draw.choice(tools),
        }
        for _ in range(number)
    ]


def count(organization: Organization, at: datetime, feature: str = "sessions") -> None:
    """Set the counter of the current period to the sum of its events."""
    period = selectors.period_at(EntitlementsManager(organization).entitlements(), at)
    events = UsageEvent.objects.filter(
        organization=organization, feature=feature, occurred_at__gte=period.start, occurred_at__lt=period.end
    )
    used = sum(events.values_list("amount", flat=True))
    UsageCounter.objects.update_or_create(
        organization=organization, feature=feature, period_start=period.start, defaults={"period_end": period.end, "used": used}
    )
