"""Require staff to reauthenticate before changes to payments and permissions, and keep the submitted form.

After allauth's page the browser opens `continue_form`, which shows a button that sends the kept form to its URL. The form is then sent as a
normal request, with all middleware and the CSRF check. These would not run if allauth repeated the request.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from accounts.adapter import SESSION_SIGNED_IN_AT

from .decorators import page_context, staff_page

MAX_AGE = timedelta(minutes=15)
SESSION_FORM = "kept_admin_form"
# The form is stored in the session, which is read on each request. Larger forms must be entered again.
MAX_FORM_LENGTH = 64 * 1024


def require_recent(request: HttpRequest) -> HttpResponse | None:
    """Return None if the signed-in member of staff authenticated within `MAX_AGE`, otherwise a redirect to reauthentication.

    After it, the page of a GET request opens. The form of a POST request is kept, and sent after one more click.
    """
    if is_recent(request, MAX_AGE):
        return None
    back = request.get_full_path()
    if request.method == "POST":
        back = reverse("backoffice:continue-form") if _keep_form(request) else reverse("admin:index")
    return HttpResponseRedirect(reauthentication_url(request, back))


def is_recent(request: HttpRequest, max_age: timedelta) -> bool:
    """Return whether the user authenticated in this session within `max_age`: with a second factor, where the admin requires one."""
    since = time.time() - max_age.total_seconds()
    records = get_authentication_records(request, request.user)
    if settings.STAFF_SECOND_FACTOR:
        return any(each.get("method") == "mfa" and each.get("at", 0) >= since for each in records)
    return request.session.get(SESSION_SIGNED_IN_AT, 0) >= since or any(each.get("at", 0) >= since for each in records)


def reauthentication_url(request: HttpRequest, back: str) -> str:
    """Return the URL of the page that asks for the second factor (or the password, if none is required), and then opens `back`."""
    if settings.STAFF_SECOND_FACTOR:
        has_codes = is_mfa_enabled(request.user, [Authenticator.Type.TOTP])
        page = reverse("mfa_reauthenticate" if has_codes else "mfa_reauthenticate_webauthn")
    else:
        methods = get_adapter().get_reauthentication_methods(request.user)
        if not methods:
            raise PermissionDenied("Set a password or set up two-factor authentication first.")
        page = methods[0]["url"]
    return f"{page}?{urlencode({'next': back})}"


def _keep_form(request: HttpRequest) -> bool:
    fields = [[name, value] for name, values in request.POST.lists() for value in values if name != "csrfmiddlewaretoken"]
    if sum(len(name) + len(value) for name, value in fields) > MAX_FORM_LENGTH:
        return False
    request.session[SESSION_FORM] = {"path": request.get_full_path(), "fields": fields, "at": time.time(), "user": request.user.pk}
    return True


@require_safe
@staff_page(None)
def continue_form(request: HttpRequest) -> HttpResponse:
    """Show a button that resubmits the kept form. The form is removed from the session. It expires after `MAX_AGE`."""
    form: dict[str, Any] | None = request.session.pop(SESSION_FORM, None)
    if form is None or form["user"] != request.user.pk or form["at"] < time.time() - MAX_AGE.total_seconds():
        return HttpResponseRedirect(reverse("admin:index"))
    return render(request, "backoffice/continue_form.html", page_context(request, "Continue", form=form))


class RecentAuthenticationMiddleware:
    """Applies `require_recent` to forms and actions of admin pages whose class sets `recent_authentication`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        # Django sets `model_admin` on the views of admin pages. These views reject users who are not staff.
        model_admin = getattr(view, "model_admin", None)
        if request.method != "POST" or not getattr(model_admin, "recent_authentication", False):
            return None
        user = request.user
        return require_recent(request) if user.is_authenticated and user.is_active and user.is_staff else None


urlpatterns = [path("continue/", continue_form, name="continue-form")]
