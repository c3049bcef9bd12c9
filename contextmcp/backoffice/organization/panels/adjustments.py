"""Refunds, disputes and credit notes."""

from collections.abc import Sequence

from billing.models import Adjustment
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, money, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.wording import moment
from contextmcp.common.admin_links import list_url, object_url
from contextmcp.common.text import words

COLUMNS = ("Kind", "Amount", "Status", "Reason", "Invoice", "Created")


def read(details: OrganizationDetails) -> Sequence[Block]:
    rows = [
        row(
            Cell(words(each.kind), object_url(each)),
            money(each.amount, each.currency),
            words(each.status),
            words(each.reason) or "-",
            each.stripe_invoice_id or "-",
            moment(each.created_at),
        )
        for each in Adjustment.objects.filter(organization=details.organization).order_by("-created_at", "-id")[: SHOWN_ROWS + 1]
    ]
    more = list_url("billing.adjustment", organization__id__exact=details.organization.pk)
    return [short_table(COLUMNS, rows, empty="No refunds, disputes or credit notes.", more=more)]


PANEL = Panel("adjustments", "Refunds and disputes", ("billing.view_adjustment",), read)
