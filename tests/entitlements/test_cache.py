"""The cache of entitlements: current immediately in this process, within a second in others, and on time."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection, connections, transaction

from accounts.invalidation import watcher
from accounts.manager import AuthManager
from contextmcp.common.clock import now
from entitlements import selectors
from entitlements.cache import CACHE, EntitlementsCache
from entitlements.catalog_schema import FeatureValue
from entitlements.errors import PlanInactive
from entitlements.manager import EntitlementsManager
from entitlements.models import Grant
from entitlements.publish import publish
from entitlements.receivers import on_invalidation
from entitlements.types import Kind
from tests.factories.accounts import OrganizationFactory
from tests.factories.entitlements import next_catalog

DAY = timedelta(days=1)


@pytest.fixture
def acme(transactional_db):
    created = OrganizationFactory(name="Acme")
    wait_until(watched)
    return created


def watched():
    watcher.start()
    return watcher.is_fresh()


def wait_until(true, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "It did not come true in time."
        time.sleep(0.01)


def test_a_second_read_takes_no_query(acme, django_assert_num_queries):
    manager = EntitlementsManager(acme)
    wait_until(lambda: manager.entitlements() is manager.entitlements())
    with django_assert_num_queries(0):
        assert manager.entitlements() is manager.cached(acme.id, now(acme))


def test_a_change_is_visible_at_once_in_its_process(acme):
    manager = EntitlementsManager(acme)
    for _ in range(3):
        assert manager.entitlements().plan == "free"
        grant = manager.grant("pro", reason="x")
        assert manager.entitlements().plan == "pro"
        manager.end_grant(grant)


def test_an_uncommitted_change_is_only_visible_in_its_transaction(acme):
    manager = EntitlementsManager(acme)
    manager.entitlements()
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            manager.grant("pro", reason="x")
            assert manager.entitlements().plan == "pro"
            assert other.submit(lambda: (manager.entitlements().plan, connections.close_all())[0]).result() == "free"
        assert manager.entitlements().plan == "pro"
        assert other.submit(lambda: (manager.entitlements().plan, connections.close_all())[0]).result() == "pro"


def test_a_rolled_back_change_is_not_cached(acme):
    manager = EntitlementsManager(acme)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        manager.grant("pro", reason="x")
        assert manager.entitlements().plan == "pro"
        raise ZeroDivisionError
    assert manager.entitlements().plan == "free"
    assert EntitlementsManager.cached(acme.id, now(acme)).plan == "free"


def test_entitlements_change_when_a_grant_ends(acme):
    manager = EntitlementsManager(acme)
    manager.grant("pro", "trial", ends_at=now(acme) + DAY)
    assert manager.entitlements().plan == "pro"
    acme.clock_offset = DAY
    assert manager.entitlements().plan == "free"
    acme.clock_offset = timedelta(0)
    assert manager.entitlements().plan == "pro"


def test_new_catalog_reaches_organizations_without_a_grant(acme):
    manager = EntitlementsManager(acme)
    assert manager.entitlements().upgrades["white_label"] == "enterprise"
    publish(catalog=next_catalog(white_label=FeatureValue(Kind.BOOLEAN, True)))
    assert manager.entitlements().upgrades["white_label"] == "pro"
    wait_until(lambda: selectors.plan_catalog() is selectors.plan_catalog())


def test_closing_the_organization_ends_its_plan(acme):
    manager = EntitlementsManager(acme)
    assert manager.require("sessions").enabled
    AuthManager(acme).close(None)
    with pytest.raises(PlanInactive):
        manager.require("sessions")
    stale = EntitlementsManager(type(acme)(id=acme.id, created_at=acme.created_at))
    with pytest.raises(PlanInactive):
        stale.require("sessions")


def test_a_change_by_sql_invalidates_the_cache(acme):
    """The trigger announces a row that was written with plain SQL."""
    manager = EntitlementsManager(acme)
    grant = manager.grant("pro", reason="x")
    wait_until(lambda: manager.entitlements() is manager.entitlements())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE entitlements_grant SET ends_at = now() WHERE id = %s", [grant.pk])
    wait_until(lambda: manager.entitlements().plan == "free", 1.0)


OTHER = """
import sys, django
django.setup()
from accounts.models import Organization
from entitlements.manager import EntitlementsManager
manager = EntitlementsManager(Organization.objects.get())
grant = manager.grant("pro", reason="from elsewhere")
print("given", flush=True)
sys.stdin.readline()
manager.end_grant(grant)
print("ended", flush=True)
"""


def test_a_change_by_another_process_arrives_within_a_second(acme):
    manager = EntitlementsManager(acme)
    wait_until(lambda: manager.entitlements() is manager.entitlements())
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "DATABASE_URL": url}
    ) as other:
        assert other.stdout.readline() == "given\n"
        wait_until(lambda: manager.entitlements().plan == "pro", 1.0)
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "ended\n"
        wait_until(lambda: manager.entitlements().plan == "free", 1.0)


def test_without_polls_cached_entries_are_not_used(acme, monkeypatch):
    manager = EntitlementsManager(acme)
    manager.entitlements()
    monkeypatch.setattr(watcher, "is_fresh", lambda: False)
    assert manager.cached(acme.id, now(acme)) is None
    assert manager.cached(acme.id, now(acme), stale=True).plan == "free"
    assert manager.plans()[1].name == "pro"
    assert manager.entitlements().plan == "free"


def test_concurrent_grants_are_serialized(acme):
    """Two concurrent syncs of one customer leave one grant, not two."""
    from entitlements.types import GrantSpec

    EntitlementsManager.version("pro")
    barrier = threading.Barrier(4)

    def sync(_):
        barrier.wait()
        EntitlementsManager(acme).replace_grants("subscription", [GrantSpec("pro", reference="sub-1")])
        connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sync, range(4)))
    assert Grant.objects.count() == 1


class TestTheCopyItself:
    def make(self, acme, **more):
        return selectors.read_entitlements(acme, now(acme))

    def test_row_read_before_the_invalidation_is_not_cached(self, acme):
        cache = EntitlementsCache()
        ticket, result = cache.generation(), self.make(acme)
        cache.invalidate(acme.id)
        cache.put(ticket, result)
        cache.put_catalog(ticket, selectors.read_plan_catalog())
        assert cache.get(acme.id, now(acme)) is None
        assert cache.catalog() is None
        cache.put(cache.generation(), result)
        assert cache.get(acme.id, now(acme)) is result

    def test_the_least_recently_used_entry_is_evicted(self, acme):
        cache = EntitlementsCache(capacity=2)
        first, second, third = OrganizationFactory.create_batch(3)
        for one in (first, second):
            cache.put(cache.generation(), self.make(one))
        assert cache.get(first.id, now())
        cache.put(cache.generation(), self.make(third))
        assert [cache.get(one.id, now()) is not None for one in (first, second, third)] == [True, False, True]

    def test_global_invalidations_and_forks_clear_the_cache(self, acme):
        from accounts.invalidation import Invalidation

        result = self.make(acme)
        for kind, organization_id, remaining in [
            ("key", acme.id, True),
            ("organization", acme.id, False),
            ("start", None, False),
            ("fork", None, False),
        ]:
            CACHE.put(CACHE.generation(), result)
            on_invalidation(Invalidation(organization_id, None, kind))
            assert (CACHE.get(acme.id, now(acme)) is not None) is remaining, kind
