"""Clients of Valkey: the gate's own and redis.asyncio, for the script that a rate-limited call runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from tests.bench.compare import Row, interleave
from tests.bench.sample import SERIOUS_SECONDS, Sample, wait_for_quiet
from tests.bench.sites import SETTINGS, Bench

OURS = "the gate's client"
REDIS = "redis.asyncio"


@dataclass
class Client:
    """One client in a process of its own, with `callers` calls under way at any time."""

    name: str
    kind: str
    bench: Bench
    callers: int

    def sample(self, seconds: float) -> Sample:
        if seconds >= SERIOUS_SECONDS:
            wait_for_quiet()
        world = self.bench.world
        command = [
            sys.executable,
            "-m",
            "tests.bench.baselines.valkey",
            self.kind,
            world.running.redis_url,
            str(self.callers),
            str(seconds),
        ]
        environment = {**world.environment, **SETTINGS, "DATABASE_URL": world.running.database_url}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout)
        return Sample(result["rate"], result["p50_ms"], result["p99_ms"], result["cpu_us"], 0.0, 0.0, 0.0)


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for callers in bench.options.connections:
        clients = [Client(OURS, "gate", bench, callers), Client(REDIS, "redis", bench, callers)]
        results = interleave(f"Valkey, {callers} callers", clients, bench.options)
        rows += [results.ratio(REDIS, OURS), results.ratio(REDIS, OURS, of="cpu_us", label=f"{REDIS} to {OURS}, CPU")]
        rows.append(results.figure(OURS, "cpu_us", "us", label=f"{OURS}, CPU"))
    return rows
