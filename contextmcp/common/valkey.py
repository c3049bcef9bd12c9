"""The one connection pool to Valkey (or Redis). Losing it loses nothing: callers treat `Unavailable` as a fact, not as an error."""

from functools import cache

import redis
from django.conf import settings

# A server that is full, read-only or out of disk answers with an error of its own. (A forgotten script is loaded again by the client.)
Unavailable = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ResponseError)


@cache
def client() -> "redis.Redis | None":
    """A client with short time limits, or None where no address is configured. Values come back as bytes."""
    if not settings.REDIS_URL:
        return None
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5, health_check_interval=30)


def key(organization_id: object, *parts: object) -> str:
    """`prefix:{organization}:part:...`: the hash tag keeps an organization's keys on one cluster node."""
    return ":".join([settings.CACHE_PREFIX, f"{{{organization_id}}}", *map(str, parts)])


def channel(name: str) -> str:
    """The name of a pub/sub channel of ours."""
    return f"{settings.CACHE_PREFIX}:{name}"
