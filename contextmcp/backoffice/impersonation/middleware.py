"""Replace the user by the impersonated member on customer pages, and deny what staff may not do there."""

from collections.abc import Callable

import structlog
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from accounts import audit
from accounts.models import User
from accounts.services import impersonation
from contextmcp.backoffice.errors import ImpersonationReadOnly, ImpersonationUnavailable
from contextmcp.common import problems
from contextmcp.common.errors import DomainError

from . import session

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Paths where the staff member acts as themselves: the admin, signing out, and reauthentication for the admin.
AS_STAFF = ("/admin/", "/accounts/logout/", "/accounts/reauthenticate/", "/accounts/2fa/reauthenticate/")
# The member's credentials (passwords, second factors, sessions), consent to apps, the API, whose responses contain secrets, and exports of
# all data.
UNAVAILABLE = ("/accounts/", "/oauth/", "/api/", "/account/settings/export/", "/account/exports/")


class ImpersonationMiddleware:
    """Replaces `request.user` with the impersonated member on the customers' pages, and sets `request.impersonation` for the banner.

    In MIDDLEWARE it must come after the middleware that limits the age of sessions, because that limit applies to the staff member.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # A request with an API key has its own caller. Without the cookie the session is not accessed, so that responses do not vary by it.
        has_session = settings.SESSION_COOKIE_NAME in request.COOKIES and "Authorization" not in request.headers
        identifier = session.impersonation_id(request) if has_session else None
        staff = request.user
        if identifier is None or not isinstance(staff, User):
            return self.get_response(request)
        current = impersonation.active(identifier, staff)
        if current is None:
            session.leave(request)
            messages.warning(request, "You are no longer viewing the product as a member. Nothing was changed.")
            return HttpResponseRedirect(reverse("admin:index"))
        row, membership = current
        request.impersonation = row  # type: ignore[attr-defined]
        if request.path.startswith(AS_STAFF):
            return self.get_response(request)
        request.user = membership.user
        request._memberships = [membership]  # type: ignore[attr-defined]
        if request.path.startswith(UNAVAILABLE):
            return _refuse(request, ImpersonationUnavailable())
        if request.method not in SAFE_METHODS and not row.allows_changes:
            return _refuse(request, ImpersonationReadOnly())
        structlog.contextvars.bind_contextvars(staff=str(staff.pk))
        token = audit.impersonator.set(staff)
        try:
            return self.get_response(request)
        finally:
            audit.impersonator.reset(token)


def _refuse(request: HttpRequest, refusal: DomainError) -> HttpResponse:
    if request.path.startswith("/api/"):
        return problems.response(refusal)
    context = {"error": refusal, "back": reverse("account"), "back_label": "Back to the account"}
    return render(request, "error.html", context, status=refusal.status)
