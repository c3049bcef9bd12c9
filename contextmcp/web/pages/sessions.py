"""The page with the user's sessions, which can be ended."""

from dataclasses import dataclass

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.devices import device
from accounts.models import User
from accounts.sessions import end_session, sessions_of


@dataclass(frozen=True)
class SessionRow:
    session: UserSession
    device: str
    is_current: bool


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def sessions(request: WSGIRequest) -> HttpResponseBase:
    """List the sessions. A POST ends the session in `session`, or with `others` all other sessions."""
    assert isinstance(request.user, User)
    rows = [SessionRow(row, device(row.user_agent), row.session_key == request.session.session_key) for row in sessions_of(request.user)]
    if request.method == "POST":
        return _end(request, request.user, rows)
    return _show(request, rows)


def _show(request: WSGIRequest, rows: list[SessionRow]) -> HttpResponse:
    return render(request, "web/sessions.html", {"rows": rows, "has_others": any(not row.is_current for row in rows)})


def _end(request: WSGIRequest, user: User, rows: list[SessionRow]) -> HttpResponseBase:
    session_id = request.POST.get("session", "")
    ended = [row for row in rows if not row.is_current and ("others" in request.POST or str(row.session.pk) == session_id)]
    for row in ended:
        end_session(user, row.session)
    if ended:
        text = ngettext("The session was signed out.", "%(number)d sessions were signed out.", len(ended))
        messages.success(request, text % {"number": len(ended)})
    else:
        messages.info(request, gettext("This session has already ended."))
    return redirect("usersessions_list")
