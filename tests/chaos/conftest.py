"""A world on servers of its own, so that all of it may be killed."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from contextmcp.local import services
from contextmcp.local.services import Services, default_home
from tests.support.worlds import Running, running


@pytest.fixture(scope="module")
def own() -> Iterator[Services]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        # The test run's own are named there, and others look for them after us.
        for name in ("DATABASE_URL", "REDIS_URL"):
            patch.delenv(name)
        found = stack.enter_context(services.running(default_home() / f"chaos-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"))
        patch.undo()
        yield found


@pytest.fixture(scope="module")
def world(own: Services) -> Iterator[Running]:
    with running("chaos", own=own) as found:
        yield found
