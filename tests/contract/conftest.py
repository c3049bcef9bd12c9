"""Fixtures: a stack, and the members of an organization."""

from collections.abc import Iterator

import pytest

from tests.support.customers import Customer, sign_up
from tests.support.stacks import Running


@pytest.fixture(scope="module")
def owner(world: Running) -> Iterator[Customer]:
    """A customer on Pro, so that no request is refused because of the plan before its input is validated."""
    ada = sign_up(world, "Acme")
    ada.subscribe("pro")
    yield ada
    ada.close()
