"""The language, region and time zone of texts: the reader's on pages and in emails, English and UTC elsewhere.

API responses, logs and the admin are English. A user's own choice precedes that of the browser: its cookie, which the footer sets, and
its `Accept-Language` header. The header also names the region, which decides how amounts, numbers and dates are written.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, localedata
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

ENGLISH = "en"
# The region of a language whose region the browser does not name.
REGIONS = {"en": "en_US", "de": "de_DE", "fr": "fr_FR"}
DEFAULT = REGIONS[ENGLISH]
# Locales that Babel has data for. An unknown territory falls back to its language: "de" for "de-XX".
KNOWN = frozenset(localedata.locale_identifiers())
# Paths that have no text for customers. They depend on neither the session nor the browser's language.
ENGLISH_PATHS = ("/api/", "/admin/", "/static/", "/.well-known/", "/livez", "/readyz", "/metrics", "/brand.css", "/robots.txt")
current: ContextVar[str] = ContextVar("locale", default=DEFAULT)


@lru_cache(maxsize=1000)
def accepted_locales(header: str) -> tuple[str, ...]:
    """Return the locales of an `Accept-Language` header that Babel supports, the preferred ones first."""
    negotiated = (Locale.negotiate([language.replace("-", "_")], KNOWN) for language, _ in parse_accept_lang_header(header))
    return tuple(str(locale) for locale in negotiated if locale)


def is_supported(language: str) -> bool:
    """Return whether the product has texts in the language."""
    return language in dict(settings.LANGUAGES)


def negotiate(header: str, chosen: str = "") -> tuple[str, str]:
    """Return the language and the locale. `chosen` is a language that precedes those of the header, if it is supported."""
    accepted = accepted_locales(header)
    languages = [chosen, *(locale.partition("_")[0] for locale in accepted)]
    language = next((each for each in languages if is_supported(each)), ENGLISH)
    regional = (locale for locale in accepted if locale.partition("_")[0] == language and locale != language)
    return language, next(regional, REGIONS.get(language, language))


def zone_named(name: str) -> tzinfo:
    """Return the time zone with a name of the IANA database, or UTC if there is none."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


@contextmanager
def localized(language: str = "", time_zone: str = "", header: str = "") -> Iterator[None]:
    """Use a language and a time zone inside the block. Without them: the first supported one of `header`, and UTC."""
    language, region = negotiate(header, language)
    token = current.set(region)
    try:
        with translation.override(language), timezone.override(zone_named(time_zone)):
            yield
    finally:
        current.reset(token)


@contextmanager
def localized_for(user: object) -> Iterator[None]:
    """Use a user's language and time zone inside the block. A user who has chosen none, and None, get the present ones.

    Emails use it. Outside of requests, the present ones are English and UTC.
    """
    language, zone = str(getattr(user, "language", "")), str(getattr(user, "time_zone", ""))
    with localized(language, zone) if language else _in_zone(zone):
        yield


@contextmanager
def _in_zone(name: str) -> Iterator[None]:
    with timezone.override(zone_named(name) if name else timezone.get_current_timezone()):
        yield


class LocaleMiddleware:
    """Sets the language, region and time zone of each request. It must be below the middleware of sessions and users."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(ENGLISH_PATHS):
            with localized(ENGLISH):
                return self.get_response(request)
        # Without the cookie the session is not accessed, so that responses to visitors need no query.
        user = request.user if settings.SESSION_COOKIE_NAME in request.COOKIES else None
        language = str(getattr(user, "language", "")) or request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
        with localized(language, str(getattr(user, "time_zone", "")), request.headers.get("Accept-Language", "")):
            response = self.get_response(request)
            if response.headers.get("Content-Type", "").startswith("text/html"):
                response.headers.setdefault("Content-Language", translation.get_language())
                patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response
