"""Pages of the account: overview and usage."""

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.shortcuts import render

from accounts.types import Caller
from contextmcp.web import mcp_config
from contextmcp.web.decorators import member_page
from contextmcp.web.organization_state import organization_state
from contextmcp.web.pages.keys import shown_keys
from contextmcp.web.usage_cards import home_cards, main_chart, top_tools, usage_cards


@member_page
def account(request: WSGIRequest, caller: Caller) -> HttpResponse:
    state = organization_state(request, caller)
    context = {
        "subscription": state.subscription,
        "overage": state.overage,
        "meters": home_cards(state.usage),
        "tools": top_tools(caller.organization)[:3],
        "keys": [row for row in shown_keys(caller) if row.status == "active"][:5],
        "members": state.members,
        "configuration": mcp_config.client_configuration(),
    }
    return render(request, "web/account.html", context)


@member_page
def usage(request: WSGIRequest, caller: Caller) -> HttpResponse:
    state = organization_state(request, caller)
    shown = usage_cards(state.usage)
    context = {
        "meters": [meter for meter in shown if not meter.is_rate],
        "rates": [meter for meter in shown if meter.is_rate],
        "chart": main_chart(caller.organization),
        "tools": top_tools(caller.organization),
        "overage": state.overage,
    }
    return render(request, "web/usage.html", context)
