"""The newest overrides of limits, with their creator and reason."""

from collections.abc import Sequence

from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, person, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from entitlements.catalog import CATALOG
from entitlements.models import Override

COLUMNS = ("Feature", "Value", "State", "From", "Until", "Given by", "Reason")


def read(details: OrganizationDetails) -> Sequence[Block]:
    overrides = Override.objects.filter(organization=details.organization).select_related("created_by")
    rows = [
        row(
            Cell(CATALOG.feature_title(each.feature), object_url(each)),
            "unlimited" if each.value is None else str(each.value).lower(),
            _state(each, details),
            moment(each.created_at),
            moment(each.ended_at or each.ends_at, "No end"),
            person(each.created_by),
            each.reason,
        )
        for each in overrides.order_by("-created_at", "-id")[: SHOWN_ROWS + 1]
    ]
    more = list_url("entitlements.override", organization__id__exact=details.organization.pk)
    return [short_table(COLUMNS, rows, empty="No overrides.", more=more)]


def _state(override: Override, details: OrganizationDetails) -> Cell:
    if override.ended_at is not None:
        return Cell("Ended", tone="neutral")
    if override.ends_at is not None and override.ends_at <= details.present:
        return Cell("Expired", tone="neutral")
    return Cell("In effect", tone="success")


PANEL = Panel("overrides", "Overrides", ("entitlements.view_override",), read)
