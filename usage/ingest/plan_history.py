"""Per-process cache of `PlanHistory` by organization. An entry is replaced when the organization's entitlements change."""

from collections import OrderedDict
from datetime import datetime
from uuid import UUID

from accounts.models import Organization
from entitlements.selectors import read_entitlements
from entitlements.types import Entitlements

from .event_parsing import PlanHistory

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
