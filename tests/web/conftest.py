"""Fixtures: clients that behave like browsers."""

import pytest
from django.test import Client

from tests.support.stripe import stripe_configured, stripe_server, stripe_world

__all__ = ["stripe_configured", "stripe_server", "stripe_world"]


@pytest.fixture
def sign_in():
    """Return a client in which this person is signed in, or an anonymous client if None."""

    def signed_in(person=None):
        client = Client()
        if person is not None:
            client.force_login(getattr(person, "user", person))
        return client

    return signed_in


@pytest.fixture
def people(owner, admin, member, viewer, stranger):
    return {"owner": owner, "admin": admin, "member": member, "viewer": viewer, "stranger": stranger, "nobody": None}
