"""Many events at once, including some that cannot be processed."""

import pytest

from billing.catalog import publish
from billing.models import WebhookEvent
from tests.convergence import burst
from tests.support.workers import until, workers

__all__ = ["workers"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]


def test_burst_drains_and_failing_events_block_no_other_customer(stripe_configured, workers) -> None:
    publish.publish_catalog()
    found = burst.subscribers(stripe_configured, 8)
    told = burst.send(stripe_configured, found, workers, events=80, poisoned=1)
    assert (told.dead, told.entitled) == (0, 7)
    # The failing events are kept with their error, and are processed automatically once the cause is gone.
    until(lambda: {(told.poisoned[0], True, "DataError")} == burst.complaints(), "the poison says what is wrong with it")
    burst.cure(stripe_configured, told.poisoned[0])
    until(lambda: not WebhookEvent.objects.pending().exists(), "the cured one is worked off", 60)
    assert not WebhookEvent.objects.dead().exists()
