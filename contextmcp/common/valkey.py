"""The connection pool to Valkey or Redis. It stores no durable data, so callers handle `Unavailable` and continue."""

import logging
import time
from functools import cache
from typing import Any

import redis
from django.conf import settings
from prometheus_client import Counter

log = logging.getLogger(__name__)
CACHE_ERRORS = Counter("cache_errors_total", "Connections to Valkey that failed")
# During an outage thousands of connections fail; at most one log line is written in this time.
LOG_SECONDS = 30.0

# A server that is full, read-only or out of disk returns a ResponseError. (The client itself reloads scripts that the server lost.)
Unavailable = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ResponseError)


@cache
def client() -> "redis.Redis | None":
    """Return a client with short timeouts, or None if REDIS_URL is empty. Values are returned as bytes."""
    if not settings.REDIS_URL:
        return None
    pool = Pool.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5, health_check_interval=30)
    return redis.Redis.from_pool(pool)


class Pool(redis.ConnectionPool):
    """Counts and logs failed connections, because callers continue without Valkey and do not log."""

    _logged_at = float("-inf")

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().get_connection(*arguments, **options)
        except Unavailable as error:
            CACHE_ERRORS.inc()
            if time.monotonic() - self._logged_at > LOG_SECONDS:
                self._logged_at = time.monotonic()
                log.error("Valkey is unreachable: %s", type(error).__name__)
            raise


def key(organization_id: object, *parts: object) -> str:
    """Return `prefix:{organization}:part:...`. The hash tag keeps an organization's keys on one cluster node."""
    return ":".join([settings.CACHE_PREFIX, f"{{{organization_id}}}", *map(str, parts)])


def channel(name: str) -> str:
    """Return the full name of a pub/sub channel."""
    return f"{settings.CACHE_PREFIX}:{name}"
