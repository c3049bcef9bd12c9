"""Invoices with their lines."""

from collections.abc import Sequence
from typing import Any

from billing.documents.stripe_documents import to_datetime
from billing.models import Invoice
from contextmcp.backoffice.organization.details import OrganizationDetails
from contextmcp.backoffice.organization.display import SHOWN_ROWS, Block, Cell, Row, Tone, action_link, money, row, short_table
from contextmcp.backoffice.organization.panel import Panel
from contextmcp.backoffice.organization.stripe_links import dashboard_link
from contextmcp.backoffice.wording import day, moment
from contextmcp.common.admin_links import list_url, object_url

COLUMNS = ("Invoice", "Status", "Created", "Total", "Lines", "Stripe")
REFUND = "billing.refund_payment"
SHOWN_LINES = 6
_TONES: dict[str, Tone] = {"paid": "success", "open": "warning", "uncollectible": "danger"}


def read(details: OrganizationDetails) -> Sequence[Block]:
    invoices = Invoice.objects.filter(organization=details.organization).order_by("-created_at", "-id")[: SHOWN_ROWS + 1]
    more = list_url("billing.invoice", organization__id__exact=details.organization.pk)
    columns = (*COLUMNS, "Action") if details.may(REFUND) else COLUMNS
    return [short_table(columns, [_invoice_row(details, each) for each in invoices], empty="No invoices.", more=more)]


def _invoice_row(details: OrganizationDetails, invoice: Invoice) -> Row:
    attempts = f"{invoice.attempt_count} failed attempt{'' if invoice.attempt_count == 1 else 's'}" if invoice.failed_at else ""
    retry = f"next attempt {moment(invoice.next_payment_attempt)}" if invoice.next_payment_attempt and invoice.failed_at else ""
    status = Cell(invoice.status, tone=_TONES.get(invoice.status, "neutral"), lines=tuple(filter(None, (attempts, retry))))
    return row(
        Cell(str(invoice), object_url(invoice)),
        status,
        moment(invoice.created_at),
        _amounts(invoice),
        _lines(invoice),
        Cell("Open at Stripe", dashboard_link("invoices", invoice.stripe_invoice_id), external=True),
        *([_refund(details, invoice)] if details.may(REFUND) else []),
    )


def _refund(details: OrganizationDetails, invoice: Invoice) -> Cell:
    if invoice.status != "paid" or invoice.amount_refunded >= invoice.amount_paid:
        return Cell("-")
    return Cell("Refund", action_link(details.organization, "refund", invoice=invoice.stripe_invoice_id))


def _amounts(invoice: Invoice) -> Cell:
    parts = {"tax": invoice.tax, "discount": invoice.discount, "remaining": invoice.amount_remaining, "refunded": invoice.amount_refunded}
    lines = tuple(f"{money(value, invoice.currency)} {name}" for name, value in parts.items() if value)
    return Cell(money(invoice.total, invoice.currency), lines=lines)


def _lines(invoice: Invoice) -> Cell:
    texts = [_line(line, invoice.currency) for line in invoice.lines[:SHOWN_LINES]]
    hidden = len(invoice.lines) - SHOWN_LINES
    if hidden > 0:
        texts.append(f"and {hidden} more")
    return Cell(texts[0] if texts else "No lines", lines=tuple(texts[1:]))


def _line(line: dict[str, Any], currency: str) -> str:
    start, end = day(to_datetime(line["period_start"])), day(to_datetime(line["period_end"]))
    period = f" ({start})" if start == end else f" ({start} to {end})"
    proration = ", proration" if line.get("proration") else ""
    return f"{money(line['amount'], currency)}: {line['description']}{proration}{period}"


PANEL = Panel("invoices", "Invoices", ("billing.view_invoice",), read)
