"""Refunds, credit notes and disputes. Customers do not see disputes, which their bank handles."""

from collections.abc import Sequence
from typing import ClassVar

from django.db.models import OuterRef, Subquery

from billing.models import Adjustment, Invoice
from contextmcp.common.admin_links import page_url
from contextmcp.common.money import format_amount
from contextmcp.web.activity.links import member_page
from contextmcp.web.activity.names import Names
from contextmcp.web.activity.types import Entry, Kind, Query

from .base import Item, Source, Stream, StreamRows

# Refunds that moved no money.
_VOID = ("failed", "canceled")


class AdjustmentSource(Source):
    kinds: ClassVar = frozenset({Kind.PAYMENT})

    def streams(self, query: Query) -> Sequence[StreamRows]:
        if query.by_actor_or_code:
            return ()
        number = Invoice.objects.filter(stripe_invoice_id=OuterRef("stripe_invoice_id")).values("number")[:1]
        rows = Adjustment.objects.filter(organization=query.organization)
        if not query.for_staff:
            rows = rows.exclude(kind=Adjustment.Kind.DISPUTE)
        return [StreamRows(Stream.ADJUSTMENT, rows, extras={"invoice_number": Subquery(number)})]

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        row: Adjustment = item.row
        link = page_url("billing.adjustment", row.pk) if query.for_staff else member_page(Kind.PAYMENT, query)
        return Entry(
            at=item.at,
            kind=Kind.PAYMENT,
            sentence=_sentence(row, item.row.invoice_number or "", for_staff=query.for_staff),
            link=link,
            detail=row.stripe_id if query.for_staff else "",
            internal=row.kind == Adjustment.Kind.DISPUTE,
        )


def _sentence(row: Adjustment, number: str, *, for_staff: bool) -> str:
    amount, invoice = format_amount(row.amount, row.currency), f" of invoice {number}" if number else ""
    status = row.status.replace("_", " ")
    reason = f" ({row.reason.replace('_', ' ')})" if row.reason and for_staff else ""
    if row.kind == Adjustment.Kind.DISPUTE:
        return f"A dispute about {amount}{invoice} was opened{reason}. Its status is: {status}."
    if row.kind == Adjustment.Kind.CREDIT_NOTE:
        voided = " and later voided" if row.status == "void" else ""
        return f"A credit note of {amount} was issued{f' for invoice {number}' if number else ''}{voided}{reason}."
    if row.status in _VOID:
        return f"A refund of {amount}{invoice} was started, but {status}{reason}."
    pending = " It has not arrived yet." if row.status == "pending" else ""
    return f"{amount}{invoice} was refunded{reason}.{pending}"


SOURCE = AdjustmentSource()
