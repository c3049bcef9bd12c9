"""Invoices: when they were issued, when a payment failed, and when they were paid."""

from collections.abc import Sequence
from typing import ClassVar

from django.utils.dateformat import format as format_date

from billing.models import Invoice
from contextmcp.common.admin_links import page_url
from contextmcp.common.money import format_amount
from contextmcp.web.activity.links import Link, payment
from contextmcp.web.activity.names import Names
from contextmcp.web.activity.types import Entry, Kind, Query

from .base import Item, Source, Stream, StreamRows

_UNUSED = ("lines", "payment_ids")


class InvoiceSource(Source):
    kinds: ClassVar = frozenset({Kind.PAYMENT})

    def streams(self, query: Query) -> Sequence[StreamRows]:
        if query.by_actor_or_code:
            return ()
        rows = Invoice.objects.filter(organization=query.organization)
        # An invoice that was paid needs no entry for being issued. Customers do not see drafts, whose amount can still change.
        issued = rows.filter(paid_at=None) if query.for_staff else rows.filter(paid_at=None).exclude(status="draft")
        return [
            StreamRows(Stream.INVOICE_PAID, rows.filter(paid_at__isnull=False), "paid_at", without=_UNUSED),
            StreamRows(Stream.INVOICE_FAILED, rows.filter(failed_at__isnull=False), "failed_at", without=_UNUSED),
            StreamRows(Stream.INVOICE_ISSUED, issued, without=_UNUSED),
        ]

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        invoice: Invoice = item.row
        is_open = item.stream is not Stream.INVOICE_PAID and invoice.status == "open"
        link = Link(page_url("billing.invoice", invoice.pk)) if query.for_staff else payment(query, is_open=is_open)
        detail = invoice.stripe_invoice_id if query.for_staff else ""
        return Entry(item.at, Kind.PAYMENT, _sentence(item.stream, invoice), link=link.url, action=link.action, detail=detail)


def _sentence(stream: Stream, invoice: Invoice) -> str:
    name = f"Invoice {invoice.number}" if invoice.number else "An invoice"
    total = format_amount(invoice.total, invoice.currency)
    if stream is Stream.INVOICE_PAID:
        if not invoice.total:
            return f"{name} had nothing to pay."
        refunded = f" {format_amount(invoice.amount_refunded, invoice.currency)} was refunded later." if invoice.amount_refunded else ""
        return f"{name} was paid: {format_amount(invoice.amount_paid, invoice.currency)}.{refunded}"
    if stream is Stream.INVOICE_FAILED:
        attempts = invoice.attempt_count
        more = (
            "" if attempts < 2 else f" Attempt {attempts} succeeded." if invoice.status == "paid" else f" There were {attempts} attempts."
        )
        following = invoice.next_payment_attempt if invoice.status == "open" else None
        retry = f" The next attempt is on {format_date(following, 'F j, Y')}." if following else ""
        return f"The payment of {total} for {name[0].lower()}{name[1:]} failed.{more}{retry}"
    state = {"draft": " as a draft", "void": " and later voided", "uncollectible": " and later written off"}.get(invoice.status, "")
    due = f" It is due on {format_date(invoice.due_at, 'F j, Y')}." if invoice.status == "open" and invoice.due_at else ""
    return f"{name} of {total} was issued{state}.{due}"


SOURCE = InvoiceSource()
