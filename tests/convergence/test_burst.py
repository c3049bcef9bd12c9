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
    result = burst.subscribers(stripe_configured, 8)
    output = burst.send(stripe_configured, result, workers, events=80, poisoned=1)
    assert (output.dead, output.entitled) == (0, 7)
    # The failing events are kept with their error, and are processed automatically once the cause is gone.
    until(lambda: {(output.poisoned[0], True, "DataError")} == burst.unprocessed_events(), "the poison says what is wrong with it")
    burst.repair(stripe_configured, output.poisoned[0])
    until(lambda: not WebhookEvent.objects.pending().exists(), "the cured one is worked off", 60)
    assert not WebhookEvent.objects.dead().exists()
