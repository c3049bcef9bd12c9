"""How the gate classifies a caller by the headers, before it reads the body."""

from datetime import timedelta

import pytest
import time_machine

from accounts import principal_cache
from accounts.invalidation import watcher
from accounts.key_format import generate
from accounts.models import ApiKey
from accounts.principal_cache import cache
from contextmcp.common.clock import now
from contextmcp.gate import app
from contextmcp.gate.http_messages import ClientTrust
from tests.factories.accounts import OrganizationFactory, Person, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(watcher, "is_fresh", lambda: True)
    monkeypatch.setattr(watcher, "start", lambda: None)
    cache.reset()
    yield
    cache.reset()


@pytest.fixture
def person():
    return Person(OrganizationFactory(owner=UserFactory()).memberships.get())


def bearer(raw):
    return {"authorization": f"Bearer {raw}"}


def test_a_verified_key_is_hashed_once_per_request(person, monkeypatch):
    cache.load(person.key)
    hashed, digest_of = [], principal_cache.memory_digest
    for module in (app, principal_cache):
        monkeypatch.setattr(module, "memory_digest", lambda raw: hashed.append(raw) or digest_of(raw))
    trust, digest = app.identify(bearer(person.key))
    assert trust is ClientTrust.VERIFIED
    assert cache.get_by_digest(digest).organization_id == person.organization.pk
    assert hashed == [person.key]


def test_a_key_that_is_unknown_expired_or_malformed_is_not_trusted(person):
    for headers, trust in (({}, "REFUSED"), (bearer("nonsense"), "REFUSED"), (bearer(generate("test")), "UNVERIFIED")):
        assert app.identify(headers) == (ClientTrust[trust], None)
    key = person.key
    ApiKey.objects.update(expires_at=now() + timedelta(hours=1))
    cache.load(key)
    assert app.identify(bearer(key))[0] is ClientTrust.VERIFIED
    with time_machine.travel(now() + timedelta(hours=2)):
        assert app.identify(bearer(key)) == (ClientTrust.REFUSED, None)
