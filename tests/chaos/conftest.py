"""A world on servers of its own, so that all of it may be killed."""

import os
from collections.abc import Iterator

import pytest

from contextmcp.local import services
from contextmcp.local.services import Services, default_home
from tests.support.worlds import Running, running


@pytest.fixture(scope="module")
def own() -> Iterator[Services]:
    with services.running(default_home() / f"chaos-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}") as found:
        yield found


@pytest.fixture(scope="module")
def world(own: Services) -> Iterator[Running]:
    with running("chaos", own=own) as found:
        yield found
