"""The choice of the language in the footer, for visitors. Members choose theirs in the settings."""

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt

from contextmcp.common import locale


# Exempt from CSRF protection, so that the first visit of a page needs no cookie. Another site can only change the language.
@csrf_exempt
def set_language(request: WSGIRequest) -> HttpResponseBase:
    """Store the posted language in a cookie, and redirect to the page that the form was on."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts=None) or not target.startswith("/"):
        return redirect("home")
    answer = HttpResponseRedirect(target)
    language = request.POST.get("language", "")
    if request.method == "POST" and locale.is_supported(language):
        answer.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return answer
