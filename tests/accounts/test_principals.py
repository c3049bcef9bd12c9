"""What a process remembers of keys."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from accounts import keys, principals
from accounts.errors import InvalidKeyFormat, KeyExpired, KeyNotFound
from accounts.last_use import LastUse, last_use
from accounts.manager import AuthManager
from accounts.models import ApiKey
from accounts.principals import MISS, cache
from accounts.revocations import Notice, watcher
from accounts.verification import verifier
from contextmcp.common.clock import now
from tests.factories.accounts import key_of
from tests.support.databases import connect


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """As if news had just been looked for. (That it makes a difference has a test of its own.)"""
    monkeypatch.setattr(watcher, "fresh", lambda: True)
    monkeypatch.setattr(watcher, "start", lambda: None)


def test_what_was_loaded_is_remembered_whole(acme, member, django_assert_num_queries):
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
    assert (loaded.role, loaded.scopes, loaded.granted) == ("member", {"usage:write"}, {"usage:write", "billing:write"})
    assert (loaded.expires_at, loaded.clock_offset, loaded.organization_created_at) == (row.expires_at, timedelta(0), acme.created_at)
    with pytest.raises(Exception, match="permission_denied"):
        loaded.require(scope="billing:write")
    with pytest.raises(Exception, match="insufficient_scope"):
        loaded.require(scope="usage:read")
    with pytest.raises(Exception, match="permission_denied"):
        loaded.require(permission="billing:manage")
    loaded.require(scope="usage:write", permission="sessions:manage")


def test_the_key_itself_is_not_remembered(owner):
    cache.load(owner.key)
    assert owner.key[25:57] not in repr(vars(cache))


def test_without_fresh_news_everything_is_a_miss_unless_stale_will_do(owner, monkeypatch):
    loaded = cache.load(owner.key)
    monkeypatch.setattr(watcher, "fresh", lambda: False)
    assert cache.get(owner.key) is MISS
    assert cache.get(owner.key, stale=True) == loaded


def test_a_remembered_key_expires_on_its_organizations_clock(acme, owner):
    AuthManager(acme).set_clock(timedelta(days=3), "clock_1")
    raw = key_of(owner.membership, ["usage:read"], expires_at=datetime.now(UTC) + timedelta(days=3, seconds=0.2))
    cache.load(raw)
    assert not isinstance(cache.get(raw), KeyExpired)
    time.sleep(0.25)
    assert isinstance(cache.get(raw), KeyExpired)


def test_refusals_are_remembered_for_a_while(db, django_assert_num_queries, monkeypatch):
    raw = keys.generate("test")
    with pytest.raises(KeyNotFound):
        cache.load(raw)
    with django_assert_num_queries(0):
        first, second = cache.get(raw), cache.get(raw)
        assert isinstance(first, KeyNotFound) and first is not second
        with pytest.raises(KeyNotFound):
            AuthManager.authenticate(raw)
    monkeypatch.setattr(time, "time", lambda real=time.time: real() + principals.REFUSAL_SECONDS)
    assert cache.get(raw) is MISS


@pytest.mark.parametrize("raw", ["", "é" * 63, "x" * 63, "cmcp_sk_test_" + "0" * 50, "x" * 100_000])
def test_garbage_never_gets_to_the_database(raw):
    assert isinstance(cache.get(raw), InvalidKeyFormat)


def test_news_of_an_organization_makes_it_forget_that_one(owner, stranger):
    for person in (owner, stranger):
        cache.load(person.key)
    cache.hear(Notice(owner.organization.pk, None, "member"))
    assert cache.get(owner.key) is MISS
    assert cache.get(stranger.key) is not MISS
    cache.hear(Notice(None, None, "start"))
    assert cache.get(stranger.key) is MISS


def test_news_of_other_kinds_does_not_concern_it(owner):
    cache.load(owner.key)
    cache.hear(Notice(owner.organization.pk, None, "entitlements"))
    assert cache.get(owner.key) is not MISS


@pytest.mark.parametrize("good", [True, False])
def test_what_a_revocation_overtakes_is_not_remembered(owner, monkeypatch, good):
    """Read before the revocation committed, stored after the news of it: it would stay for ever."""
    raw, verify = owner.key, verifier.verify

    def slow(*arguments):
        verify(*arguments)
        cache.hear(Notice(owner.organization.pk, None, "key"))
        if not good:
            raise KeyNotFound

    monkeypatch.setattr(verifier, "verify", slow)
    if good:
        assert cache.load(raw)
    else:
        with pytest.raises(KeyNotFound):
            cache.load(raw)
    assert cache.get(raw) is MISS


def test_it_is_bounded_and_guesses_do_not_push_out_good_keys(owner, monkeypatch):
    monkeypatch.setattr(principals, "PRINCIPALS", 2)
    monkeypatch.setattr(principals, "REFUSALS", 2)
    raws = [key_of(owner.membership, ["usage:read"]) for _ in range(3)]
    for raw in raws:
        cache.load(raw)
    for _ in range(5):
        with pytest.raises(KeyNotFound):
            cache.load(keys.generate("test"))
    assert [cache.get(raw) is MISS for raw in raws] == [True, False, False]
    assert len(cache._refused) == 2


def test_a_key_deleted_under_it_is_not_found(owner):
    cache.load(owner.key)
    ApiKey.objects.all().delete()
    with pytest.raises(KeyNotFound):
        AuthManager.authenticate(owner.key)


@pytest.mark.django_db(transaction=True)
class TestLastUse:
    def test_it_is_written_in_one_statement(self, owner, admin):
        noted = LastUse()
        rows = [ApiKey.objects.get(public_id=person.key[13:25]) for person in (owner, admin)]
        for row in rows:
            noted.note(row.pk, 1_800_000_000.25)
        with connect(autocommit=True) as connection:
            noted.flush(connection)
            noted.flush(connection)
        assert set(ApiKey.objects.values_list("last_used_at", flat=True)) == {datetime.fromtimestamp(1_800_000_000.25, UTC)}

    def test_never_backwards(self, owner):
        row = ApiKey.objects.get(public_id=owner.key[13:25])
        with connect(autocommit=True) as connection:
            for moment in (2_000_000_000, 1_900_000_000):
                noted = LastUse()
                noted.note(row.pk, moment)
                noted.flush(connection)
        row.refresh_from_db()
        assert row.last_used_at == datetime.fromtimestamp(2_000_000_000, UTC)

    def test_a_write_that_fails_is_tried_again(self, owner):
        row = ApiKey.objects.get(public_id=owner.key[13:25])
        noted = LastUse()
        noted.note(row.pk)
        with connect(autocommit=True) as connection:
            with connect() as other:
                other.execute("SELECT 1 FROM accounts_apikey FOR UPDATE")
                connection.execute("SET lock_timeout = '50ms'")
                with pytest.raises(Exception, match="lock timeout"):
                    noted.flush(connection)
            noted.flush(connection)
        row.refresh_from_db()
        assert row.last_used_at is not None

    def test_every_recognition_is_noted(self, owner):
        last_use._noted.clear()
        cache.load(owner.key)
        assert len(last_use._noted) == 1
        last_use._noted.clear()
        cache.get(owner.key)
        assert len(last_use._noted) == 1
        with pytest.raises(KeyNotFound):
            cache.load(keys.generate("test"))
        assert len(last_use._noted) == 1
