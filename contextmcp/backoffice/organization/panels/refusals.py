"""Refused requests: the newest minutes, and the totals of a week."""

from collections.abc import Sequence
from datetime import timedelta

from contextmcp.backoffice.organization.credentials import credential_cells
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Row, number, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import day, moment
from contextmcp.common.admin_links import list_url
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from usage.refusals.selectors import RefusalGroup, refusals_of

COLUMNS = ("Minute", "Code", "Feature", "Key or app", "Tool", "Requests")
DAY_COLUMNS = ("Day", *COLUMNS[1:])
WEEK = timedelta(days=7)


def read(details: OrganizationDetails) -> Sequence[Block]:
    # Refusals are dated in real time, also for organizations with a test clock.
    until = now()
    span = (details.organization.pk, until - WEEK, until)
    minutes = refusals_of(*span, limit=SHOWN_ROWS + 1)
    days = refusals_of(*span, length="day", limit=SHOWN_ROWS)
    cells = credential_cells(each.key_id for each in (*minutes, *days))

    def rows(groups: list[RefusalGroup], *, by_day: bool) -> list[Row]:
        return [
            row(
                day(each.bucket) if by_day else moment(each.bucket),
                each.code,
                CATALOG.feature_title(each.feature) if each.feature else "-",
                cells[each.key_id],
                each.tool or "-",
                number(each.count),
            )
            for each in groups
        ]

    empty = f"No refused requests in the last {WEEK.days} days."
    since = (until - WEEK).isoformat(timespec="seconds")
    more = list_url("usage.refusalsummary", organization__id__exact=details.organization.pk, minute__gte=since)
    newest = short_table(COLUMNS, rows(minutes, by_day=False), empty=empty, title="Newest" if minutes else "", more=more)
    return [newest, short_table(DAY_COLUMNS, rows(days, by_day=True), empty="", title="By day")] if minutes else [newest]


PANEL = Panel("refusals", "Refused requests", ("usage.view_refusalsummary", "accounts.view_apikey", "accounts.view_oauthgrant"), read)
