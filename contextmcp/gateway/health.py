"""Liveness, readiness and metrics of the gateway, on the paths that web and gate use."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST

from contextmcp.common import health, metrics
from contextmcp.common.errors import NotFound
from contextmcp.gate.threads import in_thread

from .pricing import Server

JSON = "application/json"
# Readiness requires no authentication. Its report is reused for this time, so that requests cannot overload the database.
REPORT_SECONDS = 1.0
# A probe of Postgres, Valkey or an upstream server that takes longer counts as failed.
PROBE_SECONDS = 3.0
PORTS = {"http": 80, "https": 443}


class ProbeResponse(Struct, frozen=True):
    """The response to a probe or a scrape."""

    status: int
    content_type: str
    body: bytes


class Health:
    """Answers `/livez`, `/readyz` and `/metrics`. Create it on the event loop."""

    def __init__(self, servers: Mapping[str, Server]) -> None:
        self._servers = servers
        self._threads = ThreadPoolExecutor(1, "gateway-health")
        self._lock = asyncio.Lock()
        self._report: dict[str, Any] = {}
        self._reported_at = -REPORT_SECONDS

    async def answer(self, path: str, authorization: str) -> ProbeResponse | None:
        """Return the response, or None if the path is none of these.

        Raises:
            NotFound: metrics were requested without METRICS_TOKEN.
        """
        if path == "/livez":
            return ProbeResponse(200, JSON, b'{"status": "ok"}')
        if path == "/readyz":
            report = await self._readiness()
            return ProbeResponse(503 if report["status"] == "unavailable" else 200, JSON, json.dumps(report).encode())
        if path == "/metrics":
            if not metrics.permits(authorization):
                raise NotFound
            return ProbeResponse(200, CONTENT_TYPE_LATEST, await in_thread(self._threads, metrics.render))
        return None

    async def _readiness(self) -> dict[str, Any]:
        async with self._lock:
            if time.monotonic() - self._reported_at >= REPORT_SECONDS:
                names = [*health.SHARED, *(f"server {name}" for name in self._servers)]
                probes = [self._part(name) for name in health.SHARED] + [_reach(server.url) for server in self._servers.values()]
                self._report = health.report(dict(zip(names, await asyncio.gather(*probes), strict=True)))
                self._reported_at = time.monotonic()
            return self._report

    async def _part(self, name: str) -> str:
        try:
            return await asyncio.wait_for(in_thread(self._threads, health.probe, health.SHARED[name]), PROBE_SECONDS)
        except TimeoutError:
            return f"no response within {PROBE_SECONDS:.0f} s"


async def _reach(url: str) -> str:
    """Return "ok" if an upstream server accepts connections, otherwise the problem. Without it, each call of its tools gets an error."""
    parts = urlsplit(url)
    try:
        connecting = asyncio.open_connection(parts.hostname, parts.port or PORTS[parts.scheme])
        _, writer = await asyncio.wait_for(connecting, PROBE_SECONDS)
    except (OSError, TimeoutError):
        return "unreachable: calls of its tools fail"
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return "ok"
