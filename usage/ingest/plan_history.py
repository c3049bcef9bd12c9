"""The plans of an organization in the last weeks, for late events, and a cache of them in each process."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from accounts.models import Organization
from entitlements.selectors import read_entitlements
from entitlements.types import Entitlements

from .event_parsing import MAX_EVENT_AGE


class PlanHistory:
    """The organization's entitlements at any time of the last weeks. Earlier plans are read only when a late event needs them."""

    def __init__(self, present: Entitlements, read: Callable[[datetime], Entitlements]) -> None:
        self.present = present
        self._read = read
        self._past: list[Entitlements] = []
        # Start of the time for which `present` is known to apply.
        self._since = present.since or datetime.min.replace(tzinfo=UTC)

    def covers(self, moment: datetime) -> bool:
        """Return whether `at(moment)` needs no database query."""
        return moment >= self._since or any(entitlements.holds_at(moment) for entitlements in self._past)

    def at(self, moment: datetime) -> Entitlements:
        """Return the entitlements at `moment`. Queries the database unless `covers(moment)`, so check that first on an event loop."""
        if moment >= self._since:
            return self.present
        for entitlements in self._past:
            if entitlements.holds_at(moment):
                return entitlements
        # All plans of the 35 days before `moment` are read, so that later calls for any accepted time find them in memory.
        entitlements = self._read(moment - MAX_EVENT_AGE)
        while not entitlements.holds_at(moment) and entitlements.changes_at is not None:
            self._past.append(entitlements)
            entitlements = self._read(entitlements.changes_at)
        if entitlements.holds_at(self._since):
            # The entitlements have not changed since `moment`.
            self._since = entitlements.since or moment
            return self.present
        self._past.append(entitlements)
        return entitlements


# An entry is replaced when the entitlements of its organization change.
_cache: "OrderedDict[UUID, PlanHistory]" = OrderedDict()
_MAX_CACHED = 10_000


def plan_history_for(present: Entitlements) -> PlanHistory:
    """Return the cached history for these entitlements. `PlanHistory.at` queries the database for times that it does not cover."""
    organization_id = present.organization_id
    history = _cache.get(organization_id)
    if history is None or history.present is not present:

        def read(moment: datetime) -> Entitlements:
            return read_entitlements(Organization.objects.get(pk=organization_id), moment)

        history = _cache[organization_id] = PlanHistory(present, read)
        while len(_cache) > _MAX_CACHED:
            _cache.popitem(last=False)
    return history
