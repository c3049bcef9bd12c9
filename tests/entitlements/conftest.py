from collections.abc import Iterator

import pytest

from accounts.revocations import watcher
from entitlements.cache import CACHE
from tests.factories.entitlements import organization


@pytest.fixture(scope="session", autouse=True)
def watched(django_db_setup) -> Iterator[None]:
    """The watcher's connection must not outlive the database."""
    yield
    watcher.stop()


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """What one test's rolled-back transaction left in the process is not for the next."""
    CACHE.reset()
    yield
    CACHE.reset()


@pytest.fixture
def acme(db):
    return organization("Acme")
