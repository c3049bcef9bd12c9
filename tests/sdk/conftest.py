"""The product's web server over HTTP for the SDK, and what its clients need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contextmcp_sdk import AsyncClient, Client, Retries
from pytest_django import DjangoDbBlocker

from accounts.models import Organization
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.service_keys import service_key
from tests.support.gates import GateProcess, WebProcess, running
from usage.models import UsageCounter


# Not for the whole session: its process would poll the database of other tests.
@pytest.fixture(scope="package")
def web(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[GateProcess]:
    with django_db_blocker.unblock(), running(WebProcess) as process:
        yield process


@pytest.fixture
def url(web: GateProcess) -> str:
    return f"http://127.0.0.1:{web.port}"


@pytest.fixture
def organization(transactional_db: None) -> Organization:
    """An organization on the free plan: 50 sessions a month, 30 context queries a minute."""
    organization: Organization = OrganizationFactory(owner=UserFactory())
    return organization


@pytest.fixture
def key(organization: Organization) -> str:
    key: str = Person(organization.memberships.get()).key
    return key


@pytest.fixture
def vendor_key(organization: Organization) -> str:
    key: str = service_key()
    return key


@pytest.fixture
def vendor(url: str, vendor_key: str) -> Iterator[Client]:
    with Client(vendor_key, url=url, retries=Retries(attempts=2, first_wait=0.01)) as client:
        yield client


@pytest.fixture
def async_vendor(url: str, vendor_key: str) -> AsyncClient:
    return AsyncClient(vendor_key, url=url)


def sessions_used(organization: Organization) -> int:
    """Return the units of the quota that are counted or held."""
    counter = UsageCounter.objects.filter(organization=organization, feature="sessions").first()
    return 0 if counter is None else counter.used + counter.held
