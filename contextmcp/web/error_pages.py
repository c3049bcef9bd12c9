"""Error pages for CSRF failures, rate limits and unsupported methods."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.middleware.csrf import REASON_NO_CSRF_COOKIE
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from contextmcp.common import problems
from contextmcp.common.errors import DomainError, MethodNotAllowed

from . import drafts
from .decorators import action_of

OUT_OF_DATE = _("You signed in or out after the page was opened, for example in another tab. Nothing was changed. Send the form again.")
NO_COOKIE = _("Your browser sent no cookies. Nothing was changed. Allow cookies for this site, then send the form again.")


class CsrfFailed(DomainError):
    code = "csrf_failed"
    status = 403
    message = _("This form is out of date")


class TooManyRequests(DomainError):
    code = "rate_limited"
    status = 429
    message = _("Too many attempts")


def csrf_failure(request: WSGIRequest, reason: str = "") -> HttpResponse:
    """Return a page with a link back to the form. The input is kept if `Origin`, which other sites cannot forge, is this site."""
    refusal = CsrfFailed(NO_COOKIE if reason == REASON_NO_CSRF_COOKIE else OUT_OF_DATE)
    if request.path.startswith("/api/"):
        return problems.response(refusal)
    action = action_of(request)
    back = action.back_to(request) if action else request.get_full_path()
    if action and _from_here(request):
        drafts.save_draft(request, action.name, action.keeps)
    # The form of an older tab for signing in or up: the user is already signed in.
    if request.user.is_authenticated and request.path.startswith("/accounts/") and not action:
        return redirect(settings.LOGIN_REDIRECT_URL)
    return render(request, "error.html", {"error": refusal, "back": back, "back_label": gettext("Back to the form")}, status=403)


def _from_here(request: WSGIRequest) -> bool:
    origin = request.headers.get("Origin", "")
    return origin in settings.CSRF_TRUSTED_ORIGINS or (bool(origin) and urlsplit(origin).netloc == request.get_host())


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Return the page for exceeded limits of sign-up, sign-in and password resets (`handler429` of django-allauth)."""
    refusal = TooManyRequests(_("Wait a few minutes, then try again."))
    return render(request, "error.html", {"error": refusal}, status=429)


class MethodNotAllowedMiddleware:
    """Replaces an empty 405 response by an error page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not isinstance(response, HttpResponseNotAllowed) or response.content or request.path.startswith("/api/"):
            return response
        page = render(request, "error.html", {"error": MethodNotAllowed()}, status=405)
        page["Allow"] = response["Allow"]
        return page
