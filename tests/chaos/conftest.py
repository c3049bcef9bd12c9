"""A stack on servers of its own, all of which may be killed."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from contextmcp.devstack import services
from contextmcp.devstack.services import Services, default_home
from tests.support.stacks import Running, running


@pytest.fixture(scope="module")
def own() -> Iterator[Services]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        # The environment names the servers of the test run, and later tests need them.
        for name in ("DATABASE_URL", "REDIS_URL"):
            patch.delenv(name)
        result = stack.enter_context(services.running(default_home() / f"chaos-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"))
        patch.undo()
        yield result


@pytest.fixture(scope="module")
def world(own: Services) -> Iterator[Running]:
    with running("chaos", own=own) as result:
        yield result
