"""The customer portal."""

import pytest

from billing import customers
from tests.support.api import problem


@pytest.mark.django_db
class TestPortal:
    PATH = "/api/billing/create-portal-session"

    def test_the_portal_url_is_returned(self, stripe_world, api, owner, acme):
        assert problem(api.post(self.PATH, {}, by=owner)) == (409, "no_customer")
        customers.ensure_customer(acme, None)
        answer = api.post(self.PATH, {}, by=owner)
        assert answer.status_code == 200
        assert answer.json()["url"].startswith(stripe_world.url)

    def test_only_an_owner_can_open_the_portal(self, stripe_world, api, acme, admin, member, viewer, stranger):
        customers.ensure_customer(acme, None)
        assert problem(api.post(self.PATH, {})) == (401, "credentials_missing")
        for person in (admin, member, viewer):
            assert problem(api.post(self.PATH, {}, by=person))[0] == 403
        assert problem(api.post(self.PATH, {}, by=stranger)) == (409, "no_customer")
