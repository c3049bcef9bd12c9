"""Advisory locks: who waits, who is refused, when a lock is released, and that no two purposes share a namespace."""

import re
from pathlib import Path

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError

from contextmcp.common.locks import Namespace, lock_in_transaction, session_lock
from contextmcp.devstack.services import REPOSITORY
from tests.support.workers import environment, held

LOCK = "SELECT pg_advisory_lock(hashtextextended(%s, %s))"
APPS = ("accounts", "billing", "contextmcp", "entitlements", "usage")
LOCKS = REPOSITORY / "contextmcp/common/locks.py"
# The development stack locks a database of its own and loads no code of the product.
MODULES = [path for app in APPS for path in (REPOSITORY / app).rglob("*.py") if path != LOCKS and "devstack" not in path.parts]


def is_free(namespace: Namespace, key: str) -> bool:
    """Return whether another session could take the lock."""
    with psycopg.connect(environment()["DATABASE_URL"]) as other:
        row = other.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, %s))", [key, int(namespace)]).fetchone()
        return row == (True,)


@pytest.mark.django_db(transaction=True)
def test_a_transaction_lock_is_released_at_the_end_of_the_transaction():
    with transaction.atomic():
        assert lock_in_transaction(Namespace.CUSTOMER, "cus_1")
        assert not is_free(Namespace.CUSTOMER, "cus_1")
        assert is_free(Namespace.CUSTOMER, "cus_2")
        assert is_free(Namespace.METER, "cus_1")
    assert is_free(Namespace.CUSTOMER, "cus_1")


@pytest.mark.django_db(transaction=True)
def test_a_transaction_lock_of_another_session_is_waited_for_or_refused():
    with held(LOCK, ["cus_1", int(Namespace.CUSTOMER)]):
        with transaction.atomic():
            assert not lock_in_transaction(Namespace.CUSTOMER, "cus_1", wait=False)
            assert lock_in_transaction(Namespace.METER, "cus_1", wait=False)
        with pytest.raises(OperationalError, match="lock timeout"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
            lock_in_transaction(Namespace.CUSTOMER, "cus_1")


@pytest.mark.django_db(transaction=True)
def test_a_session_lock_is_released_after_the_block_and_after_an_error():
    with session_lock(Namespace.BILLING_CHANGE, "acme") as acquired:
        assert acquired
        assert not is_free(Namespace.BILLING_CHANGE, "acme")
    assert is_free(Namespace.BILLING_CHANGE, "acme")
    with pytest.raises(RuntimeError), session_lock(Namespace.BILLING_CHANGE, "acme"):
        raise RuntimeError
    assert is_free(Namespace.BILLING_CHANGE, "acme")


@pytest.mark.django_db(transaction=True)
def test_a_session_lock_of_another_session_is_not_acquired_and_stays():
    with held(LOCK, ["acme", int(Namespace.BILLING_CHANGE)]):
        with session_lock(Namespace.BILLING_CHANGE, "acme", timeout=0.1) as acquired:
            assert not acquired
        assert not is_free(Namespace.BILLING_CHANGE, "acme")


def test_no_other_module_takes_advisory_locks():
    assert [path for path in MODULES if "pg_advisory" in (text := path.read_text()) or "pg_try_advisory" in text] == []


@pytest.mark.parametrize("namespace", Namespace, ids=lambda namespace: namespace.name)
def test_each_namespace_serves_one_module(namespace: Namespace):
    used = [str(path.relative_to(REPOSITORY)) for path in MODULES if re.search(rf"Namespace\.{namespace.name}\b", Path(path).read_text())]
    assert len(used) == 1, used
