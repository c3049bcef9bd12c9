"""Fixtures: one simulator for the folder, empty before each test. A violation of Stripe's document fails the test."""

from collections.abc import Iterator

import pytest
import stripe
from simulator_fixtures import StripeApi
from stripe_simulator.testing import Running, running


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Running]:
    with running() as simulator:
        yield simulator


@pytest.fixture
def simulator(_simulator: Running) -> Iterator[Running]:
    _simulator.reset()
    yield _simulator
    wrong = [finding for finding in _simulator.findings() if not finding.startswith("request ")]
    assert wrong == []


@pytest.fixture
def client(simulator: Running) -> stripe.StripeClient:
    return simulator.client()


@pytest.fixture
def stripe_api(client: stripe.StripeClient) -> StripeApi:
    return StripeApi(client)
