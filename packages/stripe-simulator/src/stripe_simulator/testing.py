"""Run a simulator inside a test process: `with running(...) as stripe_sim: ... stripe_sim.base_url ...`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stripe

from stripe_simulator.server import Server
from stripe_simulator.simulator import Simulator

KEY = "sk_test_simulator0000000000000000"


@dataclass(frozen=True)
class Running:
    server: Server

    @property
    def sim(self) -> Simulator:
        return self.server.sim

    @property
    def base_url(self) -> str:
        return self.sim.base_url

    @property
    def base_addresses(self) -> dict[str, str]:
        """Return the SDK's addresses for all hosts, including that of meter events."""
        return dict.fromkeys(("api", "connect", "files", "meter_events"), self.base_url)

    def client(self, key: str = KEY, **options: Any) -> stripe.StripeClient:
        addresses: Any = self.base_addresses
        return stripe.StripeClient(key, base_addresses=addresses, **options)

    def reset(self) -> None:
        self.sim.reset()

    def save(self) -> bytes:
        """Return all objects and settings, for `load`. The simulator must run without `data`."""
        return self.sim.store.save()

    def load(self, state: bytes) -> None:
        """Replace all objects and settings by those that `save` returned."""
        self.sim.store.load(state)

    def findings(self) -> list[str]:
        rows = self.sim.store.all("SELECT * FROM findings ORDER BY id")
        return [f"{row['kind']} {row['operation']}: {row['messages']}" for row in rows]

    def drain(self, timeout: float = 30.0) -> bool:
        """Wait until no delivery is due. Return False on timeout."""
        return self.server.dispatcher.drain(timeout)


@contextmanager
def running(
    *,
    port: int = 0,
    data: Path | str | None = None,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    secret_key: str | None = None,
) -> Iterator[Running]:
    """Serve in a thread until the block ends. Without `data` nothing is written to disk; without `webhook_url` events are only stored."""
    sim = Simulator(
        data=Path(data) if data is not None else None,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
        secret_key=secret_key,
    )
    server = Server(sim, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="stripe-simulator", daemon=True)
    thread.start()
    server.begin()
    try:
        yield Running(server)
    finally:
        server.shutdown()
        thread.join(timeout=5)
        server.end()
