"""The usage page and its CSV."""

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.shortcuts import render

from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.web.decorators import member_page
from contextmcp.web.organization_state import organization_state
from contextmcp.web.usage_cards import usage_cards
from contextmcp.web.usage_report.page import read_page, read_report
from contextmcp.web.usage_report.table import csv_name, csv_text


@member_page
def usage(request: WSGIRequest, caller: Caller) -> HttpResponse:
    """Show the usage that the query string selects, and the current usage of all limits."""
    state = organization_state(request, caller)
    cards = usage_cards(state.usage, state.overage)
    context = {
        "page": read_page(state, request.GET, now(caller.organization)),
        "meters": [card for card in cards if not card.is_rate],
        "overage": state.overage,
        "rates": [card for card in cards if card.is_rate],
    }
    return render(request, "web/usage.html", context)


@member_page
def usage_csv(request: WSGIRequest, caller: Caller) -> HttpResponse:
    """Return the numbers of the usage page for the same query string."""
    report, _form = read_report(organization_state(request, caller), request.GET, now(caller.organization))
    headers = {"Content-Disposition": f'attachment; filename="{csv_name(report)}"'}
    return HttpResponse(csv_text(report), content_type="text/csv; charset=utf-8", headers=headers)
