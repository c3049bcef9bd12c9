"""The overview of the account."""

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from accounts.manager import AuthManager
from accounts.types import Caller
from contextmcp.web import mcp_config
from contextmcp.web.activity.recent import recent_entries
from contextmcp.web.checklist import read_checklist
from contextmcp.web.decorators import member_action, member_page
from contextmcp.web.organization_state import organization_state
from contextmcp.web.pages.keys import shown_keys
from contextmcp.web.usage_cards import home_cards


@member_page
def account(request: WSGIRequest, caller: Caller) -> HttpResponse:
    """Show the plan, the usage, what to do next and what happened last."""
    state, rows = organization_state(request, caller), shown_keys(caller)
    keys = [row.key for row in rows]
    context = {
        "subscription": state.subscription,
        "overage": state.overage,
        "meters": home_cards(state.usage, state.overage),
        "checklist": read_checklist(state, keys),
        "configuration": mcp_config.client_configuration(),
        "entries": recent_entries(caller, keys),
        "keys": [row for row in rows if row.status == "active"][:3],
        "members": state.members,
    }
    return render(request, "web/account.html", context)


@member_action("account")
def dismiss_checklist(request: WSGIRequest, caller: Caller) -> HttpResponseBase:
    AuthManager(caller.organization).dismiss_setup(caller)
    return redirect("account")
