"""The list of invoices with its filter, and the page of one invoice with its lines."""

from dataclasses import dataclass
from datetime import datetime

from django.core.handlers.wsgi import WSGIRequest
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts.types import Caller
from billing.manager import BillingManager
from billing.models import Invoice
from billing.subscriptions.preview import line
from billing.types import Line
from contextmcp.common.clock import now
from contextmcp.web.billing_forms import InvoiceFilterForm
from contextmcp.web.decorators import member_page

PER_PAGE = 20


@member_page
def invoices(request: WSGIRequest, caller: Caller) -> HttpResponse:
    caller.require(scope="billing:read")
    rows = BillingManager(caller.organization).invoices()
    first = rows.order_by("created_at").values_list("created_at", flat=True).first()
    form = InvoiceFilterForm(_years(first, now(caller.organization)), request.GET or None)
    conditions = {}
    if form.is_valid():
        status, year = form.cleaned_data["status"], form.cleaned_data["year"]
        conditions = ({"status": status} if status else {}) | ({"created_at__year": year} if year else {})
    page = Paginator(rows.filter(**conditions), PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "form": form, "filtered": bool(conditions), "has_invoices": first is not None, "query": _query(request)}
    return render(request, "web/invoice_list.html", context | {"can_pay": "billing:manage" in caller.permissions})


def _years(first: datetime | None, present: datetime) -> range:
    return range(first.year if first else present.year, present.year + 1)


def _query(request: WSGIRequest) -> str:
    """Return the filter as the beginning of a query string, to which a link adds the page."""
    query = request.GET.copy()
    query.pop("page", None)
    return f"{query.urlencode()}&" if query else ""


@dataclass(frozen=True)
class InvoiceRow:
    """A row of an invoice: a line, or an amount that leads from the lines to the total."""

    title: str
    amount: int
    detail: Line | None = None


@member_page
def invoice(request: WSGIRequest, caller: Caller, invoice_id: str) -> HttpResponse:
    caller.require(scope="billing:read")
    row = BillingManager(caller.organization).invoices().filter(stripe_invoice_id=invoice_id).first()
    if row is None:
        raise Http404
    lines = [line(each) for each in row.lines]
    context = {
        "invoice": row,
        "lines": lines,
        "rows": invoice_rows(row, lines),
        "included_tax": row.tax - added_tax(row),
        "balance": row.amount_due - row.total if row.total > 0 else 0,
        "can_pay": "billing:manage" in caller.permissions,
    }
    return render(request, "web/invoice.html", context)


def added_tax(row: Invoice) -> int:
    """Return the tax that is added to the lines. Prices can include tax, which is then a part of the lines."""
    return row.total - row.subtotal + row.discount


def invoice_rows(row: Invoice, lines: list[Line]) -> list[InvoiceRow]:
    """Return the rows from the lines to the total, whose sum is the total."""
    rows = []
    if rest := row.subtotal - sum(each.amount for each in lines):
        # Stripe's lists contain the first ten lines of an invoice.
        rows.append(InvoiceRow(_("Other items (see the PDF)"), rest))
    if row.discount:
        rows.append(InvoiceRow(_("Discount"), -row.discount))
    if tax := added_tax(row):
        rows.append(InvoiceRow(_("Tax"), tax))
    return rows
