"""Each organization's plans of the last weeks, remembered in this process as long as its present one does not change."""

from collections import OrderedDict
from datetime import datetime
from uuid import UUID

from accounts.models import Organization
from entitlements.selectors import read_entitlements
from entitlements.types import Entitlements

from .ingest import History

_kept: "OrderedDict[UUID, History]" = OrderedDict()
_MOST = 10_000


def history_of(present: Entitlements) -> History:
    """Whoever asks it for an uncovered moment reads the database."""
    organization_id = present.organization_id
    known = _kept.get(organization_id)
    if known is None or known.present is not present:

        def read(moment: datetime) -> Entitlements:
            return read_entitlements(Organization.objects.get(pk=organization_id), moment)

        known = _kept[organization_id] = History(present, read)
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
    return known
