"""A year of billing, small. The long run has 1,000 organizations and twelve months."""

import pytest

from tests.chaos import year_of_billing
from tests.support.stripe import published_catalog, stripe_configured, stripe_server, stripe_world

__all__ = ["published_catalog", "stripe_configured", "stripe_server", "stripe_world"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]


def test_invoiced_overage_equals_the_raw_events(stripe_world):
    result = year_of_billing.play(stripe_world, numbers=range(2), months=2, seed=3)
    assert not result.failures, "\n".join(result.failures)
    assert result.billed > 0
