"""The members with the most usage in the last 30 days."""

from collections.abc import Sequence

from accounts.models import User
from contextmcp.backoffice.organization.charts import DAYS, bars, first_day
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import Block, Fragment, Note
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.common.admin_links import object_url
from usage import selectors


def read(details: OrganizationDetails) -> Sequence[Block]:
    totals = selectors.top_totals(details.organization, first_day(details), "member")
    users = User.objects.in_bulk([member for _, member, _ in totals if member])
    rows = [
        (feature, users[member].email, object_url(users[member]), units)
        if member in users
        else (feature, "Without a member" if member is None else f"Deleted user {member}", "", units)
        for feature, member, units in totals
    ]
    if not rows:
        return [Note(f"No usage in the last {DAYS} days.")]
    return [Fragment("backoffice/organization/blocks/bars.html", {"bars": bars(rows), "heading": "Member"})]


PANEL = Panel("usage-by-member", "Usage by member, 30 days", ("usage.view_usagesummary", "accounts.view_user"), read)
