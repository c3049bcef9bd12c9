"""The one connection pool to Valkey (or Redis). Losing it loses nothing: callers treat `Unavailable` as a fact, not as an error."""

import logging
import time
from functools import cache
from typing import Any

import redis
from django.conf import settings
from prometheus_client import Counter

log = logging.getLogger(__name__)
CACHE_ERRORS = Counter("cache_errors_total", "Connections to Valkey that failed")
# An outage fails thousands of connections; one line in so many seconds tells of it.
LOG_SECONDS = 30.0

# A server that is full, read-only or out of disk answers with an error of its own. (A forgotten script is loaded again by the client.)
Unavailable = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ResponseError)


@cache
def client() -> "redis.Redis | None":
    """A client with short time limits, or None where no address is configured. Values come back as bytes."""
    if not settings.REDIS_URL:
        return None
    pool = Pool.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5, health_check_interval=30)
    return redis.Redis.from_pool(pool)


class Pool(redis.ConnectionPool):
    """Counts and logs the connections that fail: the callers go on without Valkey and say nothing."""

    _logged_at = float("-inf")

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().get_connection(*arguments, **options)
        except Unavailable as error:
            CACHE_ERRORS.inc()
            if time.monotonic() - self._logged_at > LOG_SECONDS:
                self._logged_at = time.monotonic()
                log.error("Valkey cannot be reached: %s", type(error).__name__)
            raise


def key(organization_id: object, *parts: object) -> str:
    """`prefix:{organization}:part:...`: the hash tag keeps an organization's keys on one cluster node."""
    return ":".join([settings.CACHE_PREFIX, f"{{{organization_id}}}", *map(str, parts)])


def channel(name: str) -> str:
    """The name of a pub/sub channel of ours."""
    return f"{settings.CACHE_PREFIX}:{name}"
