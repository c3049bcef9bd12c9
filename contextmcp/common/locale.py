"""The locale for formatting amounts: from `Accept-Language` during a request, American English elsewhere."""

from collections.abc import Callable
from contextvars import ContextVar

from babel import Locale, localedata
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

DEFAULT = "en_US"
# Locales that Babel has data for. An unknown territory falls back to its language: "de" for "de-XX".
KNOWN = frozenset(localedata.locale_identifiers())
current: ContextVar[str] = ContextVar("locale", default=DEFAULT)


def negotiate(header: str) -> str:
    """Return the first locale of an `Accept-Language` header that Babel supports."""
    for language, _ in parse_accept_lang_header(header):
        locale = Locale.negotiate([language.replace("-", "_")], KNOWN)
        if locale:
            return DEFAULT if str(locale) == "en" else str(locale)
    return DEFAULT


class LocaleMiddleware:
    """Sets the locale of each request. It applies to amounts only; texts are in English."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = current.set(negotiate(request.headers.get("Accept-Language", "")))
        try:
            response = self.get_response(request)
        finally:
            current.reset(token)
        patch_vary_headers(response, ["Accept-Language"])
        return response
