"""Small promises of the common floor."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from contextmcp.common.clock import now
from contextmcp.common.errors import until
from contextmcp.common.ids import uuid7
from contextmcp.common.logs import mask
from contextmcp.common.money import format_amount


@pytest.mark.parametrize(
    ("minor", "currency", "told"),
    [(900, "usd", "$9.00"), (-500, "usd", "-$5.00"), (123456789, "eur", "€1,234,567.89"), (900, "jpy", "¥900"), (1050, "sek", "10.50 SEK")],
)
def test_money_is_told_in_its_own_units(minor: int, currency: str, told: str) -> None:
    assert format_amount(minor, currency) == told


def test_identifiers_come_in_order_of_time() -> None:
    first = uuid7()
    time.sleep(0.002)
    second = uuid7()
    assert first < second
    assert (first.version, first.variant) == (7, "specified in RFC 4122")


def test_secrets_are_masked_wherever_they_turn_up() -> None:
    said = mask("Bearer cmcp_sk_live_abcdefGHIJKL123 and sk_test_123456789012345678901234 and whsec_abcdefghijklmnop")
    assert said == "Bearer cmcp_sk_live_*** and sk_test_*** and whsec_***"


def test_an_organization_on_a_test_clock_lives_in_its_own_time() -> None:
    ahead = SimpleNamespace(clock_offset=timedelta(days=14))
    assert timedelta(days=13, hours=23) < now(ahead) - now() <= timedelta(days=14, seconds=1)


def test_waiting_is_rounded_up_and_never_nothing() -> None:
    present = datetime(2026, 1, 1, tzinfo=UTC)
    assert until(present + timedelta(seconds=1.2), present) == 2
    assert until(present - timedelta(seconds=5), present) == 1
