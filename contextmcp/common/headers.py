"""Security headers of all responses: caching rules and the content security policy of the admin."""

from collections.abc import Callable

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.conf import settings
from django.http import HttpRequest, HttpResponse

# Cache-Control of responses that no cache may store (RFC 9111, 5.2.2.5).
PRIVATE = "private, no-store"
# Pages whose URL or form contains a secret even for anonymous users: sign-in, resets, confirmations, invitations.
_SECRET_PREFIXES = ("/accounts/", "/invitations/", "/admin/")
# The admin (django-unfold) uses Alpine.js, which evaluates attributes, and style attributes for widths and colors. Scripts are loaded
# from this host only, and inline scripts are blocked.
ADMIN_POLICY = {
    "default-src": [SELF],
    "script-src": [SELF, NONCE, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:"],
    "object-src": [NONE],
    "base-uri": [SELF],
    "form-action": [SELF],
    "frame-ancestors": [NONE],
}


class SecurityHeadersMiddleware:
    """Forbids caching of responses to authenticated requests and of pages with secrets (ASVS 8.2.1, 14.4.3).

    A Cache-Control header that a view sets is kept. It must be listed below CSPMiddleware, which writes the policy.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not response.has_header("Cache-Control") and _is_private(request):
            response["Cache-Control"] = PRIVATE
        if request.path.startswith("/admin/"):
            response._csp_replace = ADMIN_POLICY  # type: ignore[attr-defined]
        return response


def _is_private(request: HttpRequest) -> bool:
    identified = "Authorization" in request.headers or settings.SESSION_COOKIE_NAME in request.COOKIES
    return identified or request.path.startswith(_SECRET_PREFIXES)
