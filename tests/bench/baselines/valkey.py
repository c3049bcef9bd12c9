"""Rate-limit calls by one client of Valkey on an event loop, as the gate makes them: one script call per request, many at a time.

Run as a process of its own, `python -m tests.bench.baselines.valkey CLIENT URL CALLERS SECONDS`; it prints the calls per second, the CPU of
this process per call in microseconds, and latencies in milliseconds. Clients are `gate` (the gate's own) and `redis` (redis.asyncio).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import django
import redis.asyncio
import uvloop

from contextmcp.startup import load_settings

load_settings("gate")
django.setup()

from contextmcp.gate.valkey_client import ValkeyClient  # noqa: E402 - Django must be set up first
from usage.authorize.rate_limit import ACQUIRE_SCRIPT, SLOT_MS, SLOTS  # noqa: E402

Call = Callable[[str], Awaitable[Any]]
# Ring and slot width, then the amount and the limit of the only window.
VALUES = [SLOTS, SLOT_MS, 1, 1_000_000_000]
WINDOWS = 1_000


def gate(url: str, callers: int) -> Call:
    client = ValkeyClient(url)
    return lambda window: client.eval_script(ACQUIRE_SCRIPT, [window], VALUES)


def redis_py(url: str, callers: int) -> Call:
    """As its documentation advises: a registered script, and a pool in which callers wait for a connection."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=callers)
    script = redis.asyncio.Redis(connection_pool=pool).register_script(ACQUIRE_SCRIPT)
    return lambda window: script(keys=[window], args=VALUES)


CLIENTS: dict[str, Callable[[str, int], Call]] = {"gate": gate, "redis": redis_py}


async def run(client: str, url: str, callers: int, seconds: float) -> dict[str, Any]:
    call = CLIENTS[client](url, callers)
    latencies: list[float] = []

    async def caller(number: int) -> None:
        while (started := time.perf_counter()) < end:
            await call(f"bench:{{{number}}}:rate")
            latencies.append(time.perf_counter() - started)
            number = (number + callers) % WINDOWS

    end = time.perf_counter() + min(0.3, seconds)
    await asyncio.gather(*map(caller, range(callers)))
    latencies.clear()
    cpu, started = time.process_time(), time.perf_counter()
    end = started + seconds
    await asyncio.gather(*map(caller, range(callers)))
    took, cpu, calls = time.perf_counter() - started, time.process_time() - cpu, len(latencies)
    latencies.sort()
    p50, p99 = latencies[calls // 2], latencies[int(calls * 0.99)]
    return {"rate": calls / took, "cpu_us": cpu / calls * 1e6, "p50_ms": p50 * 1e3, "p99_ms": p99 * 1e3}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
