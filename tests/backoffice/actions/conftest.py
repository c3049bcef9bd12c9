"""Fixtures: staff who use the actions of an organization as a browser would."""

from collections.abc import Callable

import pytest

from tests.billing.conftest import payer, sign_in_as
from tests.support.staff_actions import Staff
from tests.support.stripe import stripe_configured, stripe_server, stripe_world

__all__ = ["payer", "sign_in_as", "stripe_configured", "stripe_server", "stripe_world"]


@pytest.fixture
def staff_with(db: None) -> Callable[..., Staff]:
    """Return a function that signs in a new member of staff with these permissions ("app.codename")."""
    return Staff.make
