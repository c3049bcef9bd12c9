"""Take one sample: throughput, latency and CPU cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from tests.bench.load import Stream, drive
from tests.bench.servers import Server, World

TICKS = os.sysconf("SC_CLK_TCK")
# If other processes use more of a core than this, wait and repeat the sample.
DISTURBED = 0.35
# seconds of waiting in total
QUIET_SECONDS = 120.0
# seconds for a server to finish requests whose client has left
FINISH_SECONDS = 30.0
# Requests are sent this long before a sample, or as long as the sample, if that is less.
WARM_UP_SECONDS = 0.5
# Shorter samples are meaningless anyway and need not be repeated.
SERIOUS_SECONDS = 1.0


@dataclass(frozen=True)
class Sample:
    """`rate` is units (requests or events) per second. `cpu_us` is the CPU time of servers, Postgres and Valkey per unit, `behind_us` that
    of the last two, `client_us` that of this process. `foreign` is the CPU use of all other processes, in cores.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    behind_us: float
    client_us: float
    foreign: float


class Subject(Protocol):
    """Something that can be sampled repeatedly."""

    name: str

    def sample(self, seconds: float) -> Sample: ...


@dataclass
class Http:
    """A server under one stream of requests, and optionally a second one that only disturbs."""

    name: str
    world: World
    server: Server
    requests: Callable[[], Iterator[bytes]]
    connections: int = 16
    unit: int = 1
    rate: float | Callable[[], float] | None = None
    expect: bytes = b""
    statuses: frozenset[bytes] = frozenset({b"200"})
    beside: Callable[[], Stream] | None = None

    def sample(self, seconds: float) -> Sample:
        requests = self.requests()
        self._drive(requests, min(WARM_UP_SECONDS, seconds))
        best = None
        for _ in range(2):
            quiet = wait_for_quiet() if seconds >= SERIOUS_SECONDS else False
            used = self._drive(requests, seconds)
            if best is None or used.foreign < best.foreign:
                best = used
            if best.foreign < DISTURBED or not quiet:
                # On a machine that is never idle, a repetition would be no better.
                break
        assert best is not None
        if self.beside and seconds >= SERIOUS_SECONDS:
            self._let_finish()
        return best

    def _let_finish(self) -> None:
        """Wait until the server has finished dropped requests, because they would slow down the next subject."""
        until = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < until:
            with Meter(self.server.family()) as meter:
                time.sleep(0.5)
            if meter.served < 0.05:
                return

    def _drive(self, requests: Iterator[bytes], seconds: float) -> Sample:
        pace = self.rate() if callable(self.rate) else self.rate
        stream = Stream(self.server.port, requests, self.connections, pace, self.statuses, self.expect)
        streams = [stream, self.beside()] if self.beside else [stream]
        with Meter(self.server.family(), self.world.backends()) as meter:
            result = drive(streams, seconds)[0]
        if not result.done:
            # The first request after a start may be this slow. The metrics of the sample show it.
            result.done, result.latencies = 1, result.latencies or [seconds]
        units = result.done * self.unit
        return Sample(
            rate=units / result.seconds,
            p50_ms=result.percentile(0.5) * 1e3,
            p99_ms=result.percentile(0.99) * 1e3,
            # The kernel counts in ticks. A sample that is shorter than one used less than a tick, but not nothing.
            cpu_us=max(1 / TICKS, meter.served + meter.behind) / units * 1e6,
            behind_us=meter.behind / units * 1e6,
            client_us=meter.ours / units * 1e6,
            foreign=meter.foreign,
        )


@dataclass
class RawPostgres:
    """Insert batches into Postgres without a server, from a process of its own."""

    name: str
    world: World
    url: str

    def sample(self, seconds: float) -> Sample:
        if seconds >= SERIOUS_SECONDS:
            wait_for_quiet()
        command = [sys.executable, "-m", "tests.bench.baselines.raw", self.url, str(seconds)]
        done = subprocess.run(command, env=self.world.environment, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout)
        ordered = sorted(result["latencies"])
        rate = result["events"] / result["seconds"]
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        return Sample(rate, ordered[len(ordered) // 2] * 1e3, p99 * 1e3, 0.0, 0.0, 0.0, 0.0)


def wait_for_quiet() -> bool:
    """Wait until no other process uses this machine. Return whether that happened; after long waits in vain, give up for the whole run."""
    while _quiet_budget.left > 0:
        with Meter() as meter:
            time.sleep(0.25)
        if meter.foreign < DISTURBED:
            return True
        _quiet_budget.left -= 0.25
    return False


@dataclass
class _QuietBudget:
    left: float = QUIET_SECONDS


_quiet_budget = _QuietBudget()


class Meter:
    """Measure CPU seconds: of the server, of the servers behind it and of this process, and how many cores all others use."""

    def __init__(self, server: Iterable[psutil.Process] = (), backends: Iterable[psutil.Process] = ()) -> None:
        self._server, self._backends = list(server), list(backends)

    def __enter__(self) -> Meter:
        self._began = time.perf_counter()
        self._before = self._cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        took = [after - before for after, before in zip(self._cpu_seconds(), self._before, strict=True)]
        self.served, self.behind, self.ours, busy = (max(0.0, one) for one in took)
        self.foreign = max(0.0, busy - self.served - self.behind - self.ours) / (time.perf_counter() - self._began)

    def _cpu_seconds(self) -> tuple[float, float, float, float]:
        return sum(map(_of, self._server)), sum(map(_of, self._backends)), time.process_time(), _busy()


def _of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _busy() -> float:
    line = Path("/proc/stat").read_text().split("\n", 1)[0]
    user, nice, system, _, _, irq, softirq, *_ = map(int, line.split()[1:])
    return (user + nice + system + irq + softirq) / TICKS
