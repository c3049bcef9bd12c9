"""The figures as CSV files. Downloads require the permission to view revenue and are recorded in the audit log."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_GET

from accounts import audit
from accounts.authentication import staff
from billing.revenue import selectors
from billing.revenue.monthly import monthly
from billing.revenue.rebuild import today
from billing.revenue.selectors import MOVEMENTS
from contextmcp.backoffice.decorators import staff_page
from contextmcp.common.csv_text import cell
from contextmcp.common.money import decimal_amount

from .filters import Selection, select

_COUNTS = (
    "customers",
    "new_customers",
    "reactivated_customers",
    "lost_customers",
    "trials",
    "trials_started",
    "trials_converted",
    "trials_lost",
)


@require_GET
@staff_page("billing.view_revenue")
def figures_csv(request: HttpRequest, kind: str) -> HttpResponseBase:
    """Return the file "days", "movements" or "usage" for the selection of the query. Raises `Http404` for another kind."""
    if kind not in FILES:
        raise Http404
    selection = select(request, selectors.currencies(), selectors.last_day() or today())
    period = selection.period
    what = {"file": kind, "first": str(period.first), "last": str(period.last), "currency": selection.currency}
    audit.record("revenue.exported", organization=None, actor=staff(request), target=f"revenue:{kind}", after=what)
    name = f"{kind}-{selection.currency or 'all'}-{period.first}-{period.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(_lines(FILES[kind](selection)), content_type="text/csv; charset=utf-8", headers=headers)


def _days(selection: Selection) -> Iterator[list[Any]]:
    """Yield the totals of each day. Amounts are in currency units, recurring ones per month."""
    currency = selection.currency
    yield ["day", "currency", "opening_mrr", *MOVEMENTS, "closing_mrr", "at_risk", "overage", *_COUNTS]
    rows = selectors.revenue_days(currency, selection.period)
    for day in selection.period.days():
        if row := rows.get(day):
            figures = selectors.revenue_figures(rows, selectors.Period(day, day))
            amounts = [figures.opening, *(figures.movements[kind] for kind in MOVEMENTS), figures.mrr, figures.at_risk, row.overage]
            yield [day, currency, *(decimal_amount(each, currency) for each in amounts), *(getattr(row, name) for name in _COUNTS)]


def _movements(selection: Selection) -> Iterator[list[Any]]:
    """Yield the movements of single organizations."""
    currency = selection.currency
    yield ["day", "organization_id", "organization", "movement", "currency", "mrr_before", "mrr_after"]
    for row in selectors.movements(currency, selection.period):
        amounts = [decimal_amount(monthly(each), currency) for each in (row.annual_before, row.annual_after)]
        yield [row.day, row.organization_id, row.organization.name, row.kind, currency, *amounts]


def _usage(selection: Selection) -> Iterator[list[Any]]:
    """Yield the usage of each feature and day."""
    yield ["day", "feature", "amount"]
    for feature, days in sorted(selectors.usage_days(selection.period).items()):
        for day in selection.period.days():
            if day in days:
                yield [day, feature, days[day]]


FILES = {"days": _days, "movements": _movements, "usage": _usage}


class _Echo:
    """A file whose `write` returns the text, for `csv.writer`."""

    def write(self, text: str) -> str:
        return text


def _lines(rows: Iterable[list[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    for row in rows:
        yield writer.writerow([cell(value) for value in row])
