"""What every test may ask for."""

from collections.abc import Iterator

import hypothesis
import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from accounts.models import Organization
from accounts.principals import cache
from accounts.revocations import watcher
from accounts.service_principals import service_keys
from entitlements.cache import CACHE
from tests.factories.accounts import MembershipFactory, OrganizationFactory, Person, UserFactory
from tests.support.api import Api
from tests.support.worlds import world

__all__ = ["world"]

# A busy machine makes an example slow, not wrong.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let Django flush the audit trail between tests; the watcher's connection must be gone before the test database can be."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        # As the table's owner, which the application's role in production is not. Updates and deletes stay refused.
        cursor.execute("ALTER TABLE accounts_auditevent DISABLE TRIGGER accounts_audit_keeps_table")
    yield
    watcher.stop()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What an earlier test's rows taught the process says nothing about this one's."""
    cache.reset()
    service_keys.reset()
    CACHE.reset()


@pytest.fixture(autouse=True)
def _nothing_queued(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """What a test commits is flushed after it, but not the queue: Django knows those tables for procrastinate's."""
    yield
    marker = request.node.get_closest_marker("django_db")
    if (marker and marker.kwargs.get("transaction")) or "transactional_db" in request.fixturenames:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            for table in ("procrastinate_periodic_defers", "procrastinate_events", "procrastinate_jobs"):
                cursor.execute(f"DELETE FROM {table}")


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def owner(db: None) -> Person:
    organization = OrganizationFactory(name="Acme", owner=UserFactory(email="owner@acme.example", name="Olga Owner"))
    return Person(organization.memberships.select_related("organization", "user").get())


@pytest.fixture
def acme(owner: Person) -> Organization:
    """An organization on the free plan. Its people: `owner`, `admin`, `member`, `viewer`; `stranger` owns another one."""
    return owner.organization


def _person(acme: Organization, role: str) -> Person:
    return Person(MembershipFactory(organization=acme, role=role, user=UserFactory(email=f"{role}@acme.example")))


@pytest.fixture
def admin(acme: Organization) -> Person:
    return _person(acme, "admin")


@pytest.fixture
def member(acme: Organization) -> Person:
    return _person(acme, "member")


@pytest.fixture
def viewer(acme: Organization) -> Person:
    return _person(acme, "viewer")


@pytest.fixture
def stranger(db: None) -> Person:
    organization = OrganizationFactory(name="Elsewhere", owner=UserFactory(email="stranger@elsewhere.example"))
    return Person(organization.memberships.select_related("organization", "user").get())
