"""The cost of pages: queries and bytes."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.manager import AuthManager
from tests.factories.billing import Payer
from usage.tracker import UsageTracker

MOST = 10
PAGES = ["pricing", "account", "keys", "usage", "team", "billing", "settings", "welcome"]
PAGES += ["notifications", "webhooks", "data-export", "close-page", "profile", "delete-page", "usersessions_list", "mfa_index"]


@pytest.fixture
def client_of_a_busy_owner(stripe_world, acme, owner, member, sign_in):
    """An owner whose organization has some of everything."""
    payer = Payer.make(stripe_world, acme)
    payer.buy("pro")
    AuthManager.create_organization(owner.user, "Second")
    for name in ("One", "Two", "Three"):
        AuthManager(acme).generate_key(owner.caller, name)
    AuthManager(acme).invite(owner.caller, "grace@compilers.example", "viewer")
    tracker = UsageTracker(acme)
    tracker.consume("sessions", 900)
    tracker.set_gauge("projects", 3)
    client = sign_in(owner)
    client.post(reverse("switch-organization"), {"organization": str(acme.pk)})
    return client


def test_the_number_of_queries_per_page(client_of_a_busy_owner):
    for name in PAGES:
        client_of_a_busy_owner.get(reverse(name))
        with CaptureQueriesContext(connection) as requested:
            assert client_of_a_busy_owner.get(reverse(name)).status_code == 200
        # One query, for usage, is made on another connection than Django's. The catalog is in memory, except in a transaction that
        # changed it.
        statements = [each["sql"] for each in requested if 'FROM "entitlements_planversion"' not in each["sql"]]
        assert len(statements) <= MOST, "\n".join([name, *statements])


def test_pages_are_compressed_on_request(client_of_a_busy_owner):
    for name in PAGES:
        answer = client_of_a_busy_owner.get(reverse(name), headers={"Accept-Encoding": "gzip"})
        assert answer["Content-Encoding"] == "gzip", name
        assert "Accept-Encoding" in answer["Vary"], name
        assert len(answer.content) < 8_000, name
