"""A cache of resolved entitlements and of the plan catalog in each process."""

from collections import OrderedDict
from datetime import datetime
from threading import Lock
from uuid import UUID

from .catalog_schema import Plan
from .resolve import PlanCatalog
from .types import Entitlements

CAPACITY = 20_000


class EntitlementsCache:
    """An LRU cache. Entries are discarded on invalidation and when they expire (`changes_at`).

    Data that was read before an invalidation may be outdated. Call `generation` before reading and pass the result to `put`, which stores
    nothing if there was an invalidation in between.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self.reset()

    def reset(self) -> None:
        """Discard everything and create a new lock, because after a fork a thread that no longer exists may hold the old lock."""
        self._lock = Lock()
        self._generation = 0
        self._entries: OrderedDict[UUID, Entitlements] = OrderedDict()
        self._catalog: PlanCatalog | None = None
        self._definitions: dict[int, Plan] = {}

    def get(self, organization_id: UUID, at: datetime) -> Entitlements | None:
        """Return the cached entitlements if they are valid at `at`."""
        with self._lock:
            cached = self._entries.get(organization_id)
            if cached is None or not cached.holds_at(at):
                return None
            self._entries.move_to_end(organization_id)
            return cached

    def generation(self) -> int:
        """Return the number of invalidations so far."""
        return self._generation

    def put(self, generation: int, entitlements: Entitlements) -> None:
        """Store entitlements, unless there was an invalidation since `generation()` returned `generation`."""
        with self._lock:
            if generation != self._generation:
                return
            self._entries[entitlements.organization_id] = entitlements
            self._entries.move_to_end(entitlements.organization_id)
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def catalog(self) -> PlanCatalog | None:
        return self._catalog

    def put_catalog(self, generation: int, catalog: PlanCatalog) -> None:
        with self._lock:
            if generation == self._generation:
                self._catalog = catalog

    def plan_definition(self, version_id: int) -> Plan | None:
        """Return the cached definition of a published plan version, which never changes."""
        return self._definitions.get(version_id)

    def put_plan_definition(self, version_id: int, plan: Plan) -> None:
        self._definitions[version_id] = plan

    def invalidate(self, organization_id: UUID | None) -> None:
        """Discard the entitlements of one organization, or with None everything."""
        with self._lock:
            self._generation += 1
            if organization_id is None:
                self._entries.clear()
                self._catalog = None
                self._definitions = {}
            else:
                self._entries.pop(organization_id, None)


CACHE = EntitlementsCache()
