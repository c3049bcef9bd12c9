"""Durability of events, small. The long run has 100,000 events."""

import pytest

from tests.chaos import event_durability, killable_services
from tests.support.stripe import stripe_configured, stripe_server

__all__ = ["stripe_configured", "stripe_server"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chaos]


def test_acknowledged_events_survive_kills_exactly_once(stripe_configured, tmp_path):
    with killable_services.own() as services:
        result = event_durability.play(services, stripe_configured, tmp_path, size=1000, batch=10, clients=6, rounds=1, seed=1)
    assert not result.failures, "\n".join(result.failures)
    assert set(result.kills) == {"gate", "web", "worker", "valkey", "postgres"}
    assert result.at_stripe == result.units - 1000
