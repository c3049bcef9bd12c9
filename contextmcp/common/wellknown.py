"""Well-known URLs for browsers, crawlers and security researchers."""

from datetime import timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.templatetags.static import static

from . import signing
from .clock import now

TEXT = "text/plain; charset=utf-8"
PRIVATE = ("/account/", "/accounts/", "/admin/", "/api/", "/invitations/")


def robots(request: HttpRequest) -> HttpResponse:
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in PRIVATE)]
    return HttpResponse("\n".join(lines) + "\n", content_type=TEXT)


def favicon(request: HttpRequest) -> HttpResponseBase:
    return redirect(static("web/mark.svg"), permanent=False)


def security(request: HttpRequest) -> HttpResponse:
    """Return `security.txt` (RFC 9116), or 404 if SECURITY_CONTACT is empty."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    expires = (now() + timedelta(days=180)).strftime("%Y-%m-%dT00:00:00Z")
    return HttpResponse(f"Contact: {settings.SECURITY_CONTACT}\nExpires: {expires}\n", content_type=TEXT)


def jwks(request: HttpRequest) -> HttpResponse:
    """Return the public keys that verify signed documents (RFC 7517)."""
    cache = f"public, max-age={signing.JWKS_MAX_AGE_SECONDS}"
    return JsonResponse(signing.jwks(), headers={"Cache-Control": cache, "Access-Control-Allow-Origin": "*"})
