"""The cache in Postgres: JSON, atomic `add`, expiry."""

import base64
import os
import pickle

import pytest
from django.core.cache import caches
from django.db import connection

pytestmark = pytest.mark.django_db


@pytest.fixture
def cache():
    return caches["default"]


def _write(key, value):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO sign_in_limits VALUES (%s, %s, 'infinity')", [key, value])


class _Payload:
    def __reduce__(self):
        return os.putenv, ("CONTEXTMCP_PICKLE_RAN", "1")


def test_values_are_json_in_the_table(cache):
    cache.set("key", [1.5, 2])
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM sign_in_limits WHERE cache_key = %s", [cache.make_key("key")])
        assert cursor.fetchone() == ("[1.5, 2]",)
    assert cache.get("key") == [1.5, 2]


def test_a_pickle_in_the_table_is_ignored(cache, monkeypatch):
    monkeypatch.setattr(pickle, "loads", lambda *_: pytest.fail("a pickle was loaded"))
    _write(cache.make_key("key"), base64.b64encode(pickle.dumps(_Payload())).decode())
    assert cache.get("key", "default") == "default"


def test_values_that_are_not_json_are_refused(cache):
    with pytest.raises(TypeError):
        cache.set("key", _Payload())


def test_add_stores_once_until_it_expires(cache):
    assert cache.add("key", 1, 60) and not cache.add("key", 2, 60)
    assert cache.get("key") == 1
    cache.set("key", 1, -1)
    assert cache.get("key") is None
    assert cache.add("key", 3, 60) and cache.get("key") == 3


def test_touch_and_delete_return_whether_the_key_existed(cache):
    assert not cache.touch("key") and not cache.delete("key")
    cache.set("key", 1, None)
    assert cache.touch("key", 60) and cache.delete("key")
    assert cache.get("key") is None


def test_cull_deletes_expired_rows(cache):
    cache.set("old", 1, -1)
    cache.set("new", 1, 60)
    assert cache.cull() == 1
    assert cache.get("new") == 1
    cache.clear()
    assert cache.get("new") is None


def test_sessions_and_their_cache_are_json(settings):
    assert settings.SESSION_SERIALIZER.endswith("JSONSerializer")
    assert settings.CACHES["sessions"]["OPTIONS"]["SERIALIZER"].endswith("JSONSerializer")
