"""The language, region and time zone of pages."""

from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone, translation

from contextmcp.common import formatting, locale
from contextmcp.common.locale import LocaleMiddleware, localized

NOON = datetime(2026, 12, 10, 14, 37, tzinfo=UTC)


def test_dates_times_and_numbers_follow_the_locale_and_time_zone():
    written = {}
    for language, header, zone in (
        ("en", "en-US", ""),
        ("en", "en-GB", "Europe/Berlin"),
        ("de", "de-CH", "Europe/Berlin"),
        ("fr", "en-US", "Asia/Kolkata"),
        ("en", "", "Not/AZone"),
    ):
        with localized(language, zone, header):
            written[language, header, zone] = [formatting.format_moment(NOON), formatting.format_number(1234.5)]
    assert list(written.values()) == [
        ["December 10, 2026, 2:37 PM UTC", "1,234.5"],
        ["10 December 2026, 15:37 CET", "1,234.5"],
        ["10. Dezember 2026, 15:37 MEZ", "1\u2019234.5"],
        ["10 décembre 2026, 20:07 UTC+5:30", "1\u202f234,5"],
        ["December 10, 2026, 2:37 PM UTC", "1,234.5"],
    ]
    assert formatting.format_moment(NOON) == "December 10, 2026, 2:37 PM UTC"


@pytest.mark.parametrize(
    ("chosen", "header", "expected"),
    [
        ("", "", ("en", "en_US")),
        ("", "de-CH,de;q=0.9,en;q=0.8", ("de", "de_CH")),
        ("", "sv-SE,fr-CA;q=0.5", ("fr", "fr_CA")),
        ("", "sv-SE", ("en", "en_US")),
        ("en", "de-DE,en-GB;q=0.5", ("en", "en_GB")),
        ("fr", "de-DE", ("fr", "fr_FR")),
        ("xx", "de", ("de", "de_DE")),
    ],
)
def test_a_chosen_language_precedes_those_of_the_browser(chosen, header, expected):
    assert locale.negotiate(header, chosen) == expected


def test_api_and_admin_are_in_english_and_utc():
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append((translation.get_language(), locale.current.get(), str(timezone.get_current_timezone())))
        return HttpResponse()

    for path in ("/api/keys", "/admin/", "/pricing/"):
        request = HttpRequest()
        request.path = path
        request.META["HTTP_ACCEPT_LANGUAGE"] = "de-AT"
        LocaleMiddleware(view)(request)
    assert seen == [("en", "en_US", "UTC"), ("en", "en_US", "UTC"), ("de", "de_AT", "UTC")]


def test_visitors_choose_the_language_in_the_footer(client, db):
    shown = client.get(reverse("pricing"), headers={"Accept-Language": "de"})
    assert '<html lang="de">' in shown.content.decode()
    assert {shown["Content-Language"], "Accept-Language" in shown["Vary"]} == {"de", True}
    chosen = client.post(reverse("set-language"), {"language": "fr", "next": "/pricing/?interval=year"})
    assert chosen["Location"] == "/pricing/?interval=year"
    assert '<html lang="fr">' in client.get(reverse("pricing"), headers={"Accept-Language": "de"}).content.decode()
    # Nothing else is stored, and no other site is a target.
    refused = client.post(reverse("set-language"), {"language": "xx", "next": "//evil.example/"})
    assert refused["Location"] == reverse("home")
    assert client.cookies[settings.LANGUAGE_COOKIE_NAME].value == "fr"
    assert client.get(reverse("set-language"))["Location"] == reverse("home")
