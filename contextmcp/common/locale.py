"""How the reader's locale writes amounts: from `Accept-Language`, in a request; American English elsewhere."""

from collections.abc import Callable
from contextvars import ContextVar

from babel import Locale, localedata
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

DEFAULT = "en_US"
# Languages that Babel knows without a territory write amounts well enough: "de" for "de-XX".
KNOWN = frozenset(localedata.locale_identifiers())
current: ContextVar[str] = ContextVar("locale", default=DEFAULT)


def negotiate(header: str) -> str:
    """The first locale of an `Accept-Language` header that Babel knows."""
    for language, _ in parse_accept_lang_header(header):
        found = Locale.negotiate([language.replace("-", "_")], KNOWN)
        if found:
            return DEFAULT if str(found) == "en" else str(found)
    return DEFAULT


class LocaleMiddleware:
    """Sets it for one request. The pages' words stay English; only amounts follow."""

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
