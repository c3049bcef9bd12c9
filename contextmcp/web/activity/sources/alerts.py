"""Usage alerts: a share of the included amount was used, or usage rose suddenly."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from contextmcp.common.admin_links import page_url
from contextmcp.web.activity.links import Link, plans, usage_of_hour
from contextmcp.web.activity.names import Names
from contextmcp.web.activity.types import Entry, Kind, Query
from entitlements.catalog import CATALOG
from usage.models import UsageAlert

from .base import Item, Source, Stream, StreamRows


class AlertSource(Source):
    kinds: ClassVar = frozenset({Kind.USAGE})

    def streams(self, query: Query) -> Sequence[StreamRows]:
        if query.by_actor_or_code:
            return ()
        return [StreamRows(Stream.ALERT, UsageAlert.objects.filter(organization=query.organization), parse=UUID)]

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        alert: UsageAlert = item.row
        link = Link(page_url("usage.usagealert", alert.pk)) if query.for_staff else _member_link(alert, query)
        return Entry(item.at, Kind.USAGE, _sentence(alert), link=link.url, action=link.action)


def _member_link(alert: UsageAlert, query: Query) -> Link:
    if alert.kind == UsageAlert.Kind.SPIKE:
        return usage_of_hour(alert.feature, f"{alert.hour or alert.occurred_at:%Y-%m-%d}")
    return plans(query)


def _sentence(alert: UsageAlert) -> str:
    noun = CATALOG.noun(alert.feature)
    if alert.kind == UsageAlert.Kind.SPIKE:
        return f"Far more {noun} than usual were used: {alert.used:,} in one hour."
    if alert.threshold == 100:
        return f"All {alert.included or 0:,} {noun} of the plan were used."
    return f"{alert.threshold}% of the {noun} were used: {alert.used:,} of {alert.included or 0:,}."


SOURCE = AlertSource()
