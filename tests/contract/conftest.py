"""A world, and the people of one of its organizations."""

from collections.abc import Iterator

import pytest

from tests.support.customers import Customer, sign_up
from tests.support.worlds import Running


@pytest.fixture(scope="module")
def owner(world: Running) -> Iterator[Customer]:
    """On Pro, so that nothing is refused for want of a plan before it is looked at."""
    ada = sign_up(world, "Acme")
    ada.subscribe("pro")
    yield ada
    ada.close()
