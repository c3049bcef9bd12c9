"""Many events at once, and some that nobody can digest."""

import pytest

from billing.models import WebhookEvent
from billing.services import publish
from tests.convergence import burst
from tests.support.workers import until, workers

__all__ = ["workers"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]


def test_a_burst_drains_and_poison_blocks_nobody_else(stripe_configured, workers) -> None:
    publish.publish()
    found = burst.subscribers(stripe_configured, 8)
    told = burst.send(stripe_configured, found, workers, events=80, poisoned=1)
    assert (told.dead, told.entitled) == (0, 7)
    # The poison waits with its reason, and is worked off by itself once it has become digestible.
    until(lambda: {(told.poisoned[0], True, "DataError")} == burst.complaints(), "the poison says what is wrong with it")
    burst.cure(stripe_configured, told.poisoned[0])
    until(lambda: not WebhookEvent.objects.waiting().exists(), "the cured one is worked off", 60)
    assert not WebhookEvent.objects.dead().exists()
