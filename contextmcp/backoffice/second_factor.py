"""Require staff to have verified a second factor recently before they open the admin."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from .reauthentication import is_recent, reauthentication_url

# NIST SP 800-63B (AAL2) requires reauthentication at least every 12 hours.
MAX_AGE = timedelta(hours=8)
_FACTORS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]


class StaffSecondFactorMiddleware:
    """Redirects staff without a second factor to the setup page, and staff whose verification has expired to reauthentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        match = request.resolver_match
        if match is None or match.app_name not in {"admin", "backoffice"} or not settings.STAFF_SECOND_FACTOR:
            return None
        user = request.user
        # The admin itself refuses all other users. Signing out and ending an impersonation are always possible.
        if not (user.is_authenticated and user.is_active and user.is_staff) or match.url_name in {"logout", "stop-impersonation"}:
            return None
        if not is_mfa_enabled(user, _FACTORS):
            messages.warning(
                request, "Staff must use two-factor authentication. Set up an authenticator app or a passkey, then open the admin again."
            )
            return HttpResponseRedirect(reverse("mfa_index"))
        if not is_recent(request, MAX_AGE):
            path = request.get_full_path() if request.method == "GET" else reverse("admin:index")
            return HttpResponseRedirect(reauthentication_url(request, path))
        return None
