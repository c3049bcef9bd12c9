"""Stripe is unavailable and recovers."""

import pytest

from billing.catalog import publish
from tests.convergence import outage
from tests.support.workers import workers

__all__ = ["workers"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]


def test_during_an_outage_the_mirror_is_used_until_jobs_catch_up(stripe_configured, workers) -> None:
    publish.publish_catalog()
    result = outage.run(stripe_configured, workers, seconds=4, organizations=2, rounds=2)
    assert not result.failures, "\n".join(result.failures)
    assert result.accepted and result.slowest < 5
