"""One copy of each organization's entitlements in this process, and one of what is on offer."""

from collections import OrderedDict
from datetime import datetime
from threading import Lock
from uuid import UUID

from .resolve import Offer
from .terms import Plan
from .types import Entitlements

CAPACITY = 20_000


class EntitlementsCache:
    """Forgets on invalidation, on time (`changes_at`), and the longest unused when full.

    What is read from the database while an invalidation arrives may be older than the news, so `put` takes the ticket that was drawn
    before reading and keeps nothing if there was news since.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self.reset()

    def reset(self) -> None:
        """Start anew, as after a fork: the lock may have been held by a thread that is not there any more."""
        self._lock = Lock()
        self._news = 0
        self._kept: OrderedDict[UUID, Entitlements] = OrderedDict()
        self._offer: Offer | None = None
        self._terms: dict[int, Plan] = {}

    def get(self, organization_id: UUID, at: datetime) -> Entitlements | None:
        """The kept copy, if it still is the answer at that moment."""
        with self._lock:
            kept = self._kept.get(organization_id)
            if kept is None or not kept.holds_at(at):
                return None
            self._kept.move_to_end(organization_id)
            return kept

    def ticket(self) -> int:
        return self._news

    def put(self, ticket: int, entitlements: Entitlements) -> None:
        with self._lock:
            if ticket != self._news:
                return
            self._kept[entitlements.organization_id] = entitlements
            self._kept.move_to_end(entitlements.organization_id)
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)

    def offer(self) -> Offer | None:
        return self._offer

    def put_offer(self, ticket: int, offer: Offer) -> None:
        with self._lock:
            if ticket == self._news:
                self._offer = offer

    def terms(self, version_id: int) -> Plan | None:
        """A published version's terms, read before. They never change, so all who hold it share one copy."""
        return self._terms.get(version_id)

    def put_terms(self, version_id: int, plan: Plan) -> None:
        self._terms[version_id] = plan

    def forget(self, organization_id: UUID | None) -> None:
        """One organization's copy, or with None all of them and the offer."""
        with self._lock:
            self._news += 1
            if organization_id is None:
                self._kept.clear()
                self._offer = None
                self._terms = {}
            else:
                self._kept.pop(organization_id, None)


CACHE = EntitlementsCache()
