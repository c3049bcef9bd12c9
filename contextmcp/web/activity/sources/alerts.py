"""Usage alerts: a share of the included amount was used, or usage rose suddenly."""

from typing import ClassVar
from uuid import UUID

from contextmcp.common.admin_links import page_url
from contextmcp.web.activity.links import member_page
from contextmcp.web.activity.names import Names
from contextmcp.web.activity.types import Entry, Kind, Query
from entitlements.catalog import CATALOG
from usage.models import UsageAlert

from .base import Batch, Item, Source, Stream, items, newest


class AlertSource(Source):
    kinds: ClassVar = frozenset({Kind.USAGE})

    def read(self, query: Query) -> Batch:
        if query.by_actor_or_code:
            return Batch([])
        rows = UsageAlert.objects.filter(organization=query.organization)
        return Batch(items(self, newest(rows, query, Stream.ALERT, parse=UUID), Stream.ALERT))

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        alert: UsageAlert = item.row
        link = page_url("usage.usagealert", alert.pk) if query.for_staff else member_page(Kind.USAGE, query)
        return Entry(item.at, Kind.USAGE, _sentence(alert), link=link)


def _sentence(alert: UsageAlert) -> str:
    noun = CATALOG.noun(alert.feature)
    if alert.kind == UsageAlert.Kind.SPIKE:
        return f"Far more {noun} than usual were used: {alert.used:,} in one hour."
    if alert.threshold == 100:
        return f"All {alert.included or 0:,} {noun} of the plan were used."
    return f"{alert.threshold}% of the {noun} were used: {alert.used:,} of {alert.included or 0:,}."


SOURCE = AlertSource()
