"""Small utilities of contextmcp.common."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from contextmcp.common.clock import now
from contextmcp.common.errors import until
from contextmcp.common.ids import uuid7
from contextmcp.common.locale import LocaleMiddleware
from contextmcp.common.logs import mask
from contextmcp.common.middleware import address_of
from contextmcp.common.money import format_amount


@pytest.mark.parametrize(
    ("language", "minor", "currency", "result"),
    [
        ("", 900, "usd", "$9.00"),
        ("en-US,en;q=0.9", -500, "usd", "-$5.00"),
        ("en-US", 123456789, "eur", "€1,234,567.89"),
        ("en-US", 900, "jpy", "¥900"),
        ("de-DE,de;q=0.9,en;q=0.8", 123456789, "eur", "1.234.567,89\xa0€"),
        ("fr-FR", 900, "kwd", "0,900\xa0KWD"),
        ("fr-CA", 1050, "cad", "10,50\xa0$"),
        # Amounts follow the language of the text beside them.
        ("sv", 1050, "sek", "SEK\xa010.50"),
        ("xx-YY, *", 900, "usd", "$9.00"),
    ],
)
def test_amounts_are_formatted_for_the_locale(language: str, minor: int, currency: str, result: str) -> None:
    requested = HttpRequest()
    requested.META["HTTP_ACCEPT_LANGUAGE"] = language
    answer = LocaleMiddleware(lambda request: HttpResponse(format_amount(minor, currency)))(requested)
    assert answer.content.decode() == result
    assert format_amount(900, "usd") == "$9.00"


def test_identifiers_are_ordered_by_time() -> None:
    first = uuid7()
    time.sleep(0.002)
    second = uuid7()
    assert first < second
    assert (first.version, first.variant) == (7, "specified in RFC 4122")


def test_secrets_are_masked_in_any_text() -> None:
    output = mask("Bearer cmcp_sk_live_abcdefGHIJKL123 and sk_test_123456789012345678901234 and whsec_abcdefghijklmnop")
    assert output == "Bearer cmcp_sk_live_*** and sk_test_*** and whsec_***"


def test_now_includes_the_test_clocks_offset() -> None:
    ahead = SimpleNamespace(clock_offset=timedelta(days=14))
    assert timedelta(days=13, hours=23) < now(ahead) - now() <= timedelta(days=14, seconds=1)


def test_retry_after_is_rounded_up_and_positive() -> None:
    present = datetime(2026, 1, 1, tzinfo=UTC)
    assert until(present + timedelta(seconds=1.2), present) == 2
    assert until(present - timedelta(seconds=5), present) == 1


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "6.6.6.6", "10.0.0.1"),
        (1, "6.6.6.6", "6.6.6.6"),
        (1, "1.1.1.1, 6.6.6.6", "6.6.6.6"),
        (2, "1.1.1.1, 6.6.6.6, 10.0.0.9", "6.6.6.6"),
        (2, "6.6.6.6", "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "nonsense", "10.0.0.1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "6.6.6.6:51234", "6.6.6.6"),
        (1, "[2001:db8::1]:51234", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, "::ffff:6.6.6.6", "6.6.6.6"),
        (1, "6.6.6.6:x", "10.0.0.1"),
    ],
)
def test_the_clients_address_comes_from_trusted_proxies(
    rf: RequestFactory, settings: Any, proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = rf.get("/", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": forwarded} if forwarded else {})
    assert address_of(request) == address
