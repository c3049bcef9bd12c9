"""The final rows do not depend on the order, the repetition and the loss of Stripe's events."""

import pytest

from tests.convergence import history, replay_orders
from tests.support.properties import HealthCheck, Phase, given, seed, settings
from tests.support.stripe import Stripe

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


@seed(3)
@settings(max_examples=1, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(draws=history.DRAWS)
def test_any_order_of_events_leads_to_the_same_state(stripe_configured: Stripe, draws: list[tuple[int, int]]) -> None:
    outcome = replay_orders.run(stripe_configured, draws)
    assert outcome.steps >= history.AT_LEAST
    assert not outcome.problems, outcome.describe()
