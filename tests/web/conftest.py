"""Fixtures: clients that behave like browsers."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from tests.factories.accounts import Person
from tests.support.stripe import published_catalog, stripe_configured, stripe_server, stripe_world

__all__ = ["published_catalog", "stripe_configured", "stripe_server", "stripe_world"]


@pytest.fixture
def sign_in() -> Callable[..., Client]:
    """Return a client in which this person is signed in, or an anonymous client if None."""

    def signed_in(person: Person | User | None = None) -> Client:
        client = Client()
        if person is not None:
            client.force_login(getattr(person, "user", person))
        return client

    return signed_in


@pytest.fixture
def people(owner: Person, admin: Person, member: Person, viewer: Person, stranger: Person) -> dict[str, Person | None]:
    return {"owner": owner, "admin": admin, "member": member, "viewer": viewer, "stranger": stranger, "anonymous": None}
