"""Usage alerts that were sent."""

from collections.abc import Sequence

from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, number, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from entitlements.catalog import CATALOG
from usage.models import UsageAlert

COLUMNS = ("Alert", "Feature", "Used", "Included", "Occurred")


def read(details: OrganizationDetails) -> Sequence[Block]:
    rows = [
        row(
            Cell(each.get_kind_display(), object_url(each)),
            CATALOG.feature_title(each.feature),
            number(each.used),
            number(each.included, "-"),
            moment(each.occurred_at),
        )
        for each in UsageAlert.objects.filter(organization=details.organization).order_by("-created_at", "-id")[: SHOWN_ROWS + 1]
    ]
    more = list_url("usage.usagealert", organization__id__exact=details.organization.pk)
    return [short_table(COLUMNS, rows, empty="No alerts.", more=more)]


PANEL = Panel("alerts", "Usage alerts", ("usage.view_usagealert",), read)
