"""The API keys with the most usage in the last 30 days."""

from collections.abc import Sequence

from contextmcp.backoffice.organization.charts import DAYS, bars, first_day
from contextmcp.backoffice.organization.credentials import credential_cells
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import Block, Fragment, Note
from contextmcp.backoffice.organization.panel import Panel
from usage import selectors


def read(details: OrganizationDetails) -> Sequence[Block]:
    totals = selectors.top_totals(details.organization, first_day(details), "key")
    cells = credential_cells(key for _, key, _ in totals)
    rows = [(feature, cells[key].text, cells[key].link, units) for feature, key, units in totals]
    if not rows:
        return [Note(f"No usage in the last {DAYS} days.")]
    return [Fragment("backoffice/organization/blocks/bars.html", {"bars": bars(rows), "heading": "API key"})]


PANEL = Panel(
    "usage-by-key", "Usage by API key, 30 days", ("usage.view_usagesummary", "accounts.view_apikey", "accounts.view_oauthgrant"), read
)
