"""One simulator for the folder, empty before each test, and judged after it: an object that Stripe's document forbids is a failure."""

from collections.abc import Iterator

import pytest
import stripe

from contextmcp.local.stripe.running import Running, running
from tests.simulator.shop import Shop


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
def shop(client: stripe.StripeClient) -> Shop:
    return Shop(client)
