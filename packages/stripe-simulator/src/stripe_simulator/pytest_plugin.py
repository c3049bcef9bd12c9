"""Define pytest fixtures: `stripe_simulator` is one simulator per test run, emptied before each test that uses it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stripe_simulator.testing import Running


@pytest.fixture(scope="session")
def stripe_simulator_server() -> "Iterator[Running]":
    """Run one simulator until the test run ends."""
    from stripe_simulator.testing import running  # noqa: PLC0415 - a run without Stripe should not load it

    with running() as simulator:
        yield simulator


@pytest.fixture
def stripe_simulator(stripe_simulator_server: "Running") -> "Running":
    """Return the simulator with all objects removed."""
    stripe_simulator_server.reset()
    return stripe_simulator_server
