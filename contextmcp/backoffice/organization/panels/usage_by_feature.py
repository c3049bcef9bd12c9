"""Usage of each feature in the last 30 days."""

from collections.abc import Sequence

from contextmcp.backoffice.organization.charts import DAYS, day_charts, first_day
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import Block, Fragment, Note
from contextmcp.backoffice.organization.panel import Panel
from usage import selectors


def read(details: OrganizationDetails) -> Sequence[Block]:
    first = first_day(details)
    charts = day_charts(first, selectors.daily_totals(details.organization, first))
    if not charts:
        return [Note(f"No usage in the last {DAYS} days.")]
    return [Fragment("backoffice/organization/blocks/day_charts.html", {"charts": charts})]


PANEL = Panel("usage-by-feature", "Usage by feature, 30 days", ("usage.view_usagesummary",), read)
