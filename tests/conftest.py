"""Fixtures for every test. Slow imports are inside the fixtures, so that other tests do not need them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import structlog
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from accounts.invalidation import watcher
from accounts.models import Organization
from accounts.oauth.token_cache import tokens
from accounts.principal_cache import cache
from accounts.service_principals import service_keys
from contextmcp.common.incidents import INCIDENTS
from contextmcp.devstack.services import Services
from entitlements.cache import CACHE
from tests.support import databases
from tests.support.api import Api
from usage.refusals.recording import COUNTS

if TYPE_CHECKING:
    from tests.factories.accounts import Person
    from tests.support.stacks import Running


def pytest_itemcollected(item: pytest.Item) -> None:
    """Load Hypothesis's plugin when the first file imports Hypothesis."""
    if "hypothesis" in sys.modules and not item.config.pluginmanager.has_plugin("_hypothesis_pytestplugin"):
        item.config.pluginmanager.import_plugin("_hypothesis_pytestplugin")


@pytest.fixture(scope="session", autouse=True)
def _loggers_follow_the_configuration() -> None:
    """Reset structlog: a logger that caches its configuration at first use would escape `structlog.testing.capture_logs` from then on."""
    structlog.configure(cache_logger_on_first_use=False)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Replace Django's flush after tests that commit, and close the watcher's connection before the test database is dropped."""
    with django_db_blocker.unblock():
        databases.allow_flush()
        empty = databases.delete_rows if databases.is_superuser() else databases.flush
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: empty())
        yield
    watcher.stop()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """Clear the process's caches, because their contents belong to rows of earlier tests."""
    cache.reset()
    service_keys.reset()
    tokens.reset()
    CACHE.reset()
    COUNTS.reset()
    INCIDENTS.reset()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture(scope="session")
def world(services: Services) -> Iterator[Running]:
    """The product's processes with the simulator and the mail server, shared by all tests that do not break them."""
    from tests.support.stacks import running

    with running("shared") as world:
        yield world


@pytest.fixture
def owner(db: None) -> Person:
    return _owner("Acme", email="owner@acme.example", name="Olga Owner")


@pytest.fixture
def acme(owner: Person) -> Organization:
    """An organization on the free plan. Its people: `owner`, `admin`, `member`, `viewer`; `stranger` owns another one."""
    organization: Organization = owner.organization
    return organization


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
    return _owner("Elsewhere", email="stranger@elsewhere.example")


def _owner(organization_name: str, **user: str) -> Person:
    from tests.factories.accounts import OrganizationFactory, Person, UserFactory

    organization = OrganizationFactory(name=organization_name, owner=UserFactory(**user))
    return Person(organization.memberships.select_related("organization", "user").get())


def _person(acme: Organization, role: str) -> Person:
    from tests.factories.accounts import MembershipFactory, Person, UserFactory

    return Person(MembershipFactory(organization=acme, role=role, user=UserFactory(email=f"{role}@acme.example")))
