"""Limits on the number of API keys and on their creation."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from accounts.errors import KeyLimitReached
from accounts.manager import AuthManager
from accounts.models import ApiKey
from contextmcp.common.clock import now
from tests.support.api import problem

GENERATE = "/api/auth/generate-key"


class TestLimits:
    def test_an_organization_has_a_limited_number_of_active_keys(self, api, acme, owner, settings):
        assert owner.key
        settings.API_KEYS_PER_ORGANIZATION = 2
        second = api.post(GENERATE, {"name": "a"}, by=owner).json()
        refusal = api.post(GENERATE, {"name": "b"}, by=owner)
        assert problem(refusal) == (409, "api_key_limit_reached")
        assert (refusal.json()["limit"], refusal.json()["used"]) == (2, 2)
        # A rotation adds no key, and a revoked key no longer counts.
        assert api.post("/api/auth/rotate-key", {"keyId": second["id"], "overlapSeconds": 0}, by=owner).status_code == 201
        AuthManager(acme).revoke_key(owner.caller, ApiKey.objects.get(rotated_from=second["id"]).pk)
        assert api.post(GENERATE, {"name": "b"}, by=owner).status_code == 201

    def test_key_creation_is_limited_per_hour(self, api, owner, stranger, settings):
        assert owner.key and stranger.key
        settings.API_KEYS_PER_HOUR = 2
        assert api.post(GENERATE, {"name": "a"}, by=owner).status_code == 201
        for path in (GENERATE, "/api/auth/rotate-key"):
            refusal = api.post(path, {"name": "b"} if path == GENERATE else {}, by=owner)
            assert problem(refusal) == (429, "rate_limited")
            assert 3500 < int(refusal["Retry-After"]) <= 3600
        assert api.post(GENERATE, {"name": "a"}, by=stranger).status_code == 201
        ApiKey.objects.filter(organization=owner.organization).update(created_at=now() - timedelta(hours=1))
        assert api.post(GENERATE, {"name": "b"}, by=owner).status_code == 201

    @pytest.mark.django_db(transaction=True)
    def test_concurrent_creations_do_not_exceed_the_limit(self, acme, owner, settings):
        settings.API_KEYS_PER_ORGANIZATION, ready, created = 2, threading.Barrier(4), []

        def make():
            ready.wait()
            try:
                created.append(AuthManager(acme).generate_key(owner.caller, "a"))
            except KeyLimitReached:
                pass
            finally:
                connection.close()

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(created) == ApiKey.objects.count() == 2
