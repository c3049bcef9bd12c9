"""The newest grants, with their creator and reason."""

from collections.abc import Sequence

from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, person, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from entitlements.models import Grant

COLUMNS = ("Grant", "Source", "State", "From", "Until", "Given by", "Reason")


def read(details: OrganizationDetails) -> Sequence[Block]:
    grants = Grant.objects.filter(organization=details.organization).select_related("plan_version", "created_by")
    rows = [
        row(
            Cell(str(each.plan_version), object_url(each), lines=(each.reference,) if each.reference else ()),
            each.source,
            _state(each, details),
            moment(each.starts_at),
            moment(each.ends_at, "No end"),
            person(each.created_by),
            each.reason or "-",
        )
        for each in grants.order_by("-starts_at", "-id")[: SHOWN_ROWS + 1]
    ]
    more = list_url("entitlements.grant", organization__id__exact=details.organization.pk)
    return [short_table(COLUMNS, rows, empty="No grants.", more=more)]


def _state(grant: Grant, details: OrganizationDetails) -> Cell:
    if grant.ends_at is not None and grant.ends_at <= details.present:
        return Cell("Lapsed", tone="warning") if grant.lapsed else Cell("Ended", tone="neutral")
    return Cell("Active", tone="success") if grant.starts_at <= details.present else Cell("Starts later", tone="info")


PANEL = Panel("grants", "Grants", ("entitlements.view_grant",), read)
