"""Access tokens in the processes that serve MCP: verified, cached, and ended within a second."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.test import Client

from accounts.errors import EnvironmentMismatch, InsufficientScope, KeyRevoked, PermissionDenied
from accounts.invalidation import watcher
from accounts.manager import AuthManager
from accounts.models import OAuthGrant, OAuthToken
from accounts.oauth import grants
from accounts.oauth.errors import AccessTokenExpired, AccessTokenNotFound
from accounts.oauth.token_cache import MISS, tokens
from accounts.principal_cache import memory_digest
from contextmcp.common.clock import now
from contextmcp.common.logs import mask
from tests.factories.oauth import connect_app
from tests.support.oauth import App
from tests.support.workers import until
from usage.authorize.requests import Item, Request
from usage.models import UsageEvent
from usage.operations import authorization
from usage.operations.caller import UsageCaller
from usage.operations.sync_driver import drive

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def watching():
    watcher.start()
    until(watcher.is_fresh, "the log is read")
    yield
    watcher.stop()


def test_a_token_identifies_the_member_of_its_grant(member, watching):
    grant, raw = connect_app(member.membership, ("usage:write", "openid"), "notes")
    assert tokens.get(raw) is MISS
    principal = tokens.load(raw)
    assert (principal.key_id, principal.organization_id, principal.user_id) == (grant.pk, member.organization.pk, member.user.pk)
    assert (principal.scopes, principal.resources) == (frozenset({"usage:write"}), frozenset({"http://localhost:3001/mcp/notes"}))
    principal.require(scope="usage:write")
    until(lambda: tokens.get(raw) is not MISS, "no invalidation from before is left")
    assert tokens.get(raw) == principal
    until(lambda: OAuthGrant.objects.get().last_used_at is not None, "the last use is written", 15)
    assert mask(raw) == "cmcp_at_test_***"


def end_by_role(grant, member):
    AuthManager(member.organization).change_role(None, member.membership.pk, "viewer")


def end_by_leaving(grant, member):
    AuthManager(member.organization).remove_member(None, member.membership.pk)


def end_by_deactivation(grant, member):
    member.user.is_active = False
    member.user.save()


ENDS = {
    "revoked": lambda grant, member: grants.disconnect(member.caller, grant.pk),
    "deleted": lambda grant, member: grant.delete(),
    "token deleted": lambda grant, member: OAuthToken.objects.all().delete(),
    "role": end_by_role,
    "left": end_by_leaving,
    "deactivated": end_by_deactivation,
    "closed": lambda grant, member: AuthManager(member.organization).close(None),
}


@pytest.mark.parametrize("reason", ENDS)
def test_a_cached_token_ends_with_its_grant(reason, member, watching):
    grant, raw = connect_app(member.membership)
    tokens.load(raw)
    ENDS[reason](grant, member)
    # Longer than the second that the product promises, because the machine of the tests may be busy.
    until(lambda: tokens.get(raw) is MISS, "the cached token is discarded", 10)
    if reason == "role":
        with pytest.raises(PermissionDenied):
            tokens.load(raw).require(scope="usage:write")
        return
    with pytest.raises(AccessTokenNotFound):
        tokens.load(raw)


def test_a_missing_scope_and_a_missing_role_have_different_errors(member, viewer, watching):
    with pytest.raises(InsufficientScope):
        tokens.load(connect_app(member.membership, ("openid",))[1]).require(scope="usage:write")
    with pytest.raises(PermissionDenied):
        tokens.load(connect_app(viewer.membership, ("openid",))[1]).require(scope="usage:write")


def test_tokens_expire_in_real_time(member, watching):
    AuthManager(member.organization).set_clock(timedelta(days=400), "clock_1")
    raw = connect_app(member.membership)[1]
    tokens.load(raw)
    expired = tokens._cached(memory_digest(raw), time.time() + 3700)
    assert isinstance(expired, AccessTokenExpired) and expired.details["expired_at"] == OAuthToken.objects.get(kind="access").expires_at
    OAuthToken.objects.update(expires_at=now() - timedelta(seconds=1))
    tokens.reset()
    with pytest.raises(AccessTokenExpired):
        tokens.load(raw)


def test_expired_tokens_are_discarded(member, watching, monkeypatch):
    monkeypatch.setattr("accounts.oauth.token_cache.STORES_PER_PURGE", 1)
    old = memory_digest("old")
    principal = tokens.load(connect_app(member.membership)[1])
    tokens._known[old] = principal, time.time() - 1
    tokens._by_organization.setdefault(principal.organization_id, set()).add(old)
    tokens.load(connect_app(member.membership)[1])
    assert old not in tokens._known and all(old not in digests for digests in tokens._by_organization.values())


@pytest.mark.parametrize("raw", ["", "cmcp_at_", "x" * 64, "cmcp_at_test_" + "é" * 50, "cmcp_at_test_" + "A" * 50])
def test_garbage_is_refused_without_a_query(raw, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert isinstance(tokens.get(raw), AccessTokenNotFound)


def test_a_token_of_the_other_environment_is_refused(settings, member):
    raw = connect_app(member.membership)[1]
    settings.KEY_ENVIRONMENT = "live"
    assert isinstance(tokens.get(raw), EnvironmentMismatch)


def test_counting_checks_the_grant_in_its_transaction(member, watching):
    grant, raw = connect_app(member.membership)
    caller = UsageCaller.of_principal(tokens.load(raw))

    def count():
        return drive(authorization.authorize(caller, Request([Item("sessions", 1)])))

    assert count().answer is not None
    assert str(UsageEvent.objects.get().key_id) == str(grant.pk)
    OAuthGrant.objects.update(revoked_at=now())
    with pytest.raises(KeyRevoked):
        count()


def test_of_concurrent_exchanges_one_succeeds(member):
    browser = Client()
    browser.force_login(member.user)
    app = App(browser)

    def race(send):
        barrier = Barrier(4)

        def one(_):
            try:
                barrier.wait(10)
                return send().status_code
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as threads:
            return sorted(threads.map(one, range(4)))

    code = app.consent()["code"]
    # The second use of a code ends the grant.
    assert race(lambda: app.exchange(code)) == [200, 400, 400, 400]
    assert OAuthGrant.objects.get().revoked_at is not None
    tokens_of_app = app.connect()
    assert race(lambda: app.refresh(tokens_of_app["refresh_token"])) == [200, 400, 400, 400]
    current = OAuthToken.objects.filter(kind="refresh", replaced_at=None, grant__revoked_at=None)
    assert current.count() == 1
