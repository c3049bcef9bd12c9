"""The page of connected apps: OAuth clients that act for members of an organization."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from accounts.models import OAuthGrant
from accounts.oauth import grants, resources, scopes
from accounts.oauth.clients import publisher
from accounts.types import Caller
from contextmcp.web.decorators import member_action, member_page


@dataclass(frozen=True)
class AppRow:
    """A connected app. `publisher` is the host that vouches for it, or empty."""

    grant: OAuthGrant
    publisher: str
    is_mine: bool

    @property
    def permissions(self) -> list[str]:
        """Return what the app can do, in the reader's language."""
        return [_(scopes.DESCRIPTIONS.get(scope, scope)) for scope in self.grant.scopes]


@member_page
def connected_apps(request: WSGIRequest, caller: Caller) -> HttpResponse:
    """Show the user's own apps in all organizations, and to admins and owners those of this organization."""
    shown = grants.connections(caller).order_by("-created_at", "-id")
    rows = [AppRow(grant, publisher(grant.client_id), grant.membership.user_id == request.user.pk) for grant in shown]
    context = {"rows": rows, "sees_all": "users:manage" in caller.permissions, "server": resources.server_address()}
    return render(request, "web/connected_apps.html", context)


@member_action("connected-apps")
def disconnect_app(request: WSGIRequest, caller: Caller, grant_id: UUID) -> HttpResponseBase:
    grants.disconnect(caller, grant_id)
    messages.success(request, _("App disconnected. It no longer has access."))
    return redirect("connected-apps")
