"""Parse DATABASE_URL and REDIS_URL for all processes.

The parsers of libpq and redis-py are used, so all options of their documentation work in the web, the gate and the worker. A URL may
contain a password, so it is never repeated in an error.
"""

import re
from typing import Any

import psycopg
import redis
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict
from redis.asyncio.connection import Connection, parse_url

_UNKNOWN_OPTION = re.compile(r'invalid URI query parameter: "(\w+)"')
# Without timeouts, connections to a frozen machine would wait forever. Options in the URL have precedence. For a Unix socket only the
# first option applies.
DATABASE_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 3,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_DJANGO_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
# Options of a client or a pool, which a single connection does not accept.
_POOL_OPTIONS = ("connection_class", "max_connections", "timeout")


def database(url: str) -> dict[str, Any]:
    """Return Django's database settings for `url`, a libpq connection URI (PostgreSQL documentation, 34.1.1.2).

    Raises:
        ImproperlyConfigured: libpq cannot parse `url`, or it does not name a database.
    """
    try:
        options = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        unknown = _UNKNOWN_OPTION.search(str(error))
        reason = f'"{unknown[1]}" is not a connection option of PostgreSQL' if unknown else "PostgreSQL cannot parse it"
        raise ImproperlyConfigured(f"DATABASE_URL is malformed: {reason}.") from None
    if not options.get("dbname") and not options.get("service"):
        raise ImproperlyConfigured("DATABASE_URL is malformed: it does not name a database.")
    settings: dict[str, Any] = {name: str(options.pop(key, "") or "") for key, name in _DJANGO_NAMES.items()}
    return {"ENGINE": "django.db.backends.postgresql", **settings, "OPTIONS": {**DATABASE_DEFAULTS, **options}}


def redis_connection(url: str) -> Connection:
    """Return a connection for `url` that is not opened yet (redis-py documentation, `ConnectionPool.from_url`).

    Raises:
        ImproperlyConfigured: redis-py cannot parse `url`.
    """
    try:
        options: dict[str, Any] = dict(parse_url(url))
        kind = options.get("connection_class", Connection)
        connection: Connection = kind(**{name: value for name, value in options.items() if name not in _POOL_OPTIONS})
    except (ValueError, TypeError, redis.RedisError):
        raise ImproperlyConfigured("REDIS_URL is malformed: redis-py cannot parse it or does not support one of its options.") from None
    return connection
