"""Fixtures that act as staff on an organization, with the requests of a browser."""

from collections.abc import Callable

import pytest

from tests.billing.conftest import payer, sign_in_as
from tests.support.staff_actions import Staff
from tests.support.stripe import published_catalog, stripe_configured, stripe_server, stripe_world

__all__ = ["payer", "published_catalog", "sign_in_as", "stripe_configured", "stripe_server", "stripe_world"]


@pytest.fixture
def staff_with(db: None) -> Callable[..., Staff]:
    """Return a function that signs in a new member of staff with these permissions ("app.codename")."""
    return Staff.make
