"""The cache of verified keys."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from accounts import key_format, principal_cache
from accounts.errors import InvalidKeyFormat, KeyExpired, KeyNotFound
from accounts.invalidation import Invalidation, watcher
from accounts.key_verification import verifier
from accounts.last_use import LastUse, last_use
from accounts.manager import AuthManager
from accounts.models import ApiKey
from accounts.principal_cache import MISS, cache
from contextmcp.common.clock import now
from tests.factories.accounts import key_of
from tests.support.databases import connect


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """Mark the watcher as fresh. Another test covers the case that it is not."""
    monkeypatch.setattr(watcher, "is_fresh", lambda: True)
    monkeypatch.setattr(watcher, "start", lambda: None)


def test_a_loaded_principal_is_cached_completely(acme, member, django_assert_num_queries):
    raw = key_of(member.membership, ["usage:write", "billing:write"], expires_at=now() + timedelta(days=1))
    assert cache.get(raw) is MISS
    loaded = cache.load(raw)
    with django_assert_num_queries(0):
        assert cache.get(raw) == loaded
    row = ApiKey.objects.get()
    assert (loaded.organization_id, loaded.key_id, loaded.user_id, loaded.membership_id) == (
        acme.pk,
        row.pk,
        member.user.pk,
        member.membership.pk,
    )
    assert (loaded.role, loaded.scopes, loaded.key_scopes) == ("member", {"usage:write"}, {"usage:write", "billing:write"})
    assert (loaded.expires_at, loaded.clock_offset, loaded.organization_created_at) == (row.expires_at, timedelta(0), acme.created_at)
    with pytest.raises(Exception, match="permission_denied"):
        loaded.require(scope="billing:write")
    with pytest.raises(Exception, match="insufficient_scope"):
        loaded.require(scope="usage:read")
    with pytest.raises(Exception, match="permission_denied"):
        loaded.require(permission="billing:manage")
    loaded.require(scope="usage:write", permission="sessions:manage")


def test_the_cache_contains_no_keys(owner):
    cache.load(owner.key)
    assert owner.key[25:57] not in repr(vars(cache))


def test_without_polls_only_stale_reads_hit(owner, monkeypatch):
    loaded = cache.load(owner.key)
    monkeypatch.setattr(watcher, "is_fresh", lambda: False)
    assert cache.get(owner.key) is MISS
    assert cache.get(owner.key, stale=True) == loaded


def test_a_cached_key_expires_on_its_organizations_clock(acme, owner):
    AuthManager(acme).set_clock(timedelta(days=3), "clock_1")
    raw = key_of(owner.membership, ["usage:read"], expires_at=datetime.now(UTC) + timedelta(days=3, seconds=0.2))
    cache.load(raw)
    assert not isinstance(cache.get(raw), KeyExpired)
    time.sleep(0.25)
    assert isinstance(cache.get(raw), KeyExpired)


def test_refusals_are_cached_for_a_short_time(db, django_assert_num_queries, monkeypatch):
    raw = key_format.generate("test")
    with pytest.raises(KeyNotFound):
        cache.load(raw)
    with django_assert_num_queries(0):
        first, second = cache.get(raw), cache.get(raw)
        assert isinstance(first, KeyNotFound) and first is not second
        with pytest.raises(KeyNotFound):
            AuthManager.authenticate(raw)
    monkeypatch.setattr(time, "time", lambda real=time.time: real() + principal_cache.REFUSAL_SECONDS)
    assert cache.get(raw) is MISS


@pytest.mark.parametrize("raw", ["", "é" * 63, "x" * 63, "cmcp_sk_test_" + "0" * 50, "x" * 100_000])
def test_a_malformed_key_takes_no_query(raw):
    assert isinstance(cache.get(raw), InvalidKeyFormat)


def test_an_invalidation_clears_only_its_organizations_entries(owner, stranger):
    for person in (owner, stranger):
        cache.load(person.key)
    cache.on_invalidation(Invalidation(owner.organization.pk, None, "member"))
    assert cache.get(owner.key) is MISS
    assert cache.get(stranger.key) is not MISS
    cache.on_invalidation(Invalidation(None, None, "start"))
    assert cache.get(stranger.key) is MISS


def test_invalidations_of_other_kinds_are_ignored(owner):
    cache.load(owner.key)
    cache.on_invalidation(Invalidation(owner.organization.pk, None, "entitlements"))
    assert cache.get(owner.key) is not MISS


@pytest.mark.parametrize("good", [True, False])
def test_a_row_read_before_an_invalidation_is_not_cached(owner, monkeypatch, good):
    """A row read before the commit of a revocation and stored after its invalidation would stay cached forever."""
    raw, verify = owner.key, verifier.verify

    def slow(*arguments):
        verify(*arguments)
        cache.on_invalidation(Invalidation(owner.organization.pk, None, "key"))
        if not good:
            raise KeyNotFound

    monkeypatch.setattr(verifier, "verify", slow)
    if good:
        assert cache.load(raw)
    else:
        with pytest.raises(KeyNotFound):
            cache.load(raw)
    assert cache.get(raw) is MISS


def test_refusals_do_not_evict_valid_keys(owner, monkeypatch):
    monkeypatch.setattr(principal_cache, "MAX_PRINCIPALS", 2)
    monkeypatch.setattr(principal_cache, "MAX_REFUSALS", 2)
    raws = [key_of(owner.membership, ["usage:read"]) for _ in range(3)]
    for raw in raws:
        cache.load(raw)
    for _ in range(5):
        with pytest.raises(KeyNotFound):
            cache.load(key_format.generate("test"))
    assert [cache.get(raw) is MISS for raw in raws] == [True, False, False]
    assert len(cache._refused) == 2


def test_a_deleted_key_is_not_found(owner):
    cache.load(owner.key)
    ApiKey.objects.all().delete()
    with pytest.raises(KeyNotFound):
        AuthManager.authenticate(owner.key)


@pytest.mark.django_db(transaction=True)
class TestLastUse:
    def test_last_uses_are_written_in_one_statement(self, owner, admin):
        recorded = LastUse()
        rows = [ApiKey.objects.get(public_id=person.key[13:25]) for person in (owner, admin)]
        for row in rows:
            recorded.record(row.pk, 1_800_000_000.25)
        with connect(autocommit=True) as connection:
            recorded.flush(connection)
            recorded.flush(connection)
        assert set(ApiKey.objects.values_list("last_used_at", flat=True)) == {datetime.fromtimestamp(1_800_000_000.25, UTC)}

    def test_last_use_never_decreases(self, owner):
        row = ApiKey.objects.get(public_id=owner.key[13:25])
        with connect(autocommit=True) as connection:
            for moment in (2_000_000_000, 1_900_000_000):
                recorded = LastUse()
                recorded.record(row.pk, moment)
                recorded.flush(connection)
        row.refresh_from_db()
        assert row.last_used_at == datetime.fromtimestamp(2_000_000_000, UTC)

    def test_a_failed_write_is_retried(self, owner):
        row = ApiKey.objects.get(public_id=owner.key[13:25])
        recorded = LastUse()
        recorded.record(row.pk)
        with connect(autocommit=True) as connection:
            with connect() as other:
                other.execute("SELECT 1 FROM accounts_apikey FOR UPDATE")
                connection.execute("SET lock_timeout = '50ms'")
                with pytest.raises(Exception, match="lock timeout"):
                    recorded.flush(connection)
            recorded.flush(connection)
        row.refresh_from_db()
        assert row.last_used_at is not None

    def test_every_use_is_pending(self, owner):
        last_use._pending.clear()
        cache.load(owner.key)
        assert len(last_use._pending) == 1
        last_use._pending.clear()
        cache.get(owner.key)
        assert len(last_use._pending) == 1
        with pytest.raises(KeyNotFound):
            cache.load(key_format.generate("test"))
        assert len(last_use._pending) == 1
