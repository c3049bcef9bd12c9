"""A Postgres cache backend with JSON values. Django's own backend unpickles, so write access to its table would allow code execution."""

# ruff: noqa: S608 - the only name put into statements is the table's, from the settings
import json
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.db import BaseDatabaseCache
from django.db import connection

# Expiry is compared with the clock of this process, as in Django's other cache backends; "infinity" never expires.
_STORE = """
    INSERT INTO {table} (cache_key, value, expires) VALUES (%s, %s, %s)
    ON CONFLICT (cache_key) DO UPDATE SET value = excluded.value, expires = excluded.expires {condition}
    RETURNING 1
"""


class JSONDatabaseCache(BaseDatabaseCache):
    """`LOCATION` is a table that `createcachetable` created. Expired rows are deleted by `cull`, which a periodic task calls."""

    _table: str

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """Return the value, or `default` if there is none, it has expired or it is not JSON."""
        key = self.make_and_validate_key(key, version=version)
        row = self._execute(f"SELECT value FROM {self._table} WHERE cache_key = %s AND expires > %s", [key, _now()])
        try:
            return json.loads(row[0]) if row else default
        except ValueError:
            return default

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._store(key, value, timeout, version, "")

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store the value unless there is one. Return True for only one of several concurrent callers."""
        return self._store(key, value, timeout, version, f"WHERE {self._table}.expires <= %s", _now())

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        key = self.make_and_validate_key(key, version=version)
        sql = f"UPDATE {self._table} SET expires = %s WHERE cache_key = %s AND expires > %s RETURNING 1"
        return self._execute(sql, [self._expiry(timeout), key, _now()]) is not None

    def delete(self, key: str, version: int | None = None) -> bool:
        key = self.make_and_validate_key(key, version=version)
        return self._execute(f"DELETE FROM {self._table} WHERE cache_key = %s RETURNING 1", [key]) is not None

    def clear(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {self._table}")

    def cull(self) -> int:
        """Delete expired rows and return their number."""
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {self._table} WHERE expires <= %s", [_now()])
            return int(cursor.rowcount)

    def _store(self, key: str, value: Any, timeout: Any, version: int | None, condition: str, *more: datetime) -> bool:
        key = self.make_and_validate_key(key, version=version)
        sql = _STORE.format(table=self._table, condition=condition)
        return self._execute(sql, [key, json.dumps(value), self._expiry(timeout), *more]) is not None

    def _expiry(self, timeout: Any) -> datetime | str:
        moment = self.get_backend_timeout(timeout)
        return "infinity" if moment is None else datetime.fromtimestamp(moment, UTC)

    def _execute(self, sql: str, parameters: list[Any]) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchone()


def _now() -> datetime:
    return datetime.now(UTC)
