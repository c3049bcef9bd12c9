"""The simulator: one store and one lock, used by the API, the hosted pages, the control endpoints and the timer."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stripe_simulator import debit_settlement, jobs  # noqa: F401 - importing the module registers its job
from stripe_simulator.errors import Refusal
from stripe_simulator.routes import check
from stripe_simulator.store import Store
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit

log = logging.getLogger("stripe_simulator")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]  # header names in lower case
    body: str


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Simulator:
    def __init__(
        self,
        *,
        data: Path | None = None,
        webhook_url: str | None = None,
        webhook_secret: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        self.store = Store(data)
        self.base_url = ""  # known once the server has its port
        self.secret_key = secret_key
        self.webhook_secret = webhook_secret
        self.webhook_url = webhook_url
        self.down_until = 0.0
        self.refusals: list[Obj] = []  # requests that the control endpoint told the simulator to refuse
        self.deliveries_due = threading.Event()  # set when deliveries may be pending
        self.stopping = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="stripe-ticker", daemon=True)

    def endpoints(self) -> tuple[Obj, ...]:
        if not self.webhook_url:
            return ()
        return ({"id": "we_configured", "url": self.webhook_url, "secret": self.webhook_secret, "enabled_events": ["*"]},)

    @contextmanager
    def unit(self, request_id: str | None = None, idempotency_key: str | None = None) -> Iterator[Unit]:
        """Open a transaction for state, events and deliveries. A refusal with `keep` commits and is raised afterwards."""
        committed_refusal: Refusal | None = None
        with self.store.transaction():
            unit = Unit(self.store, self.base_url, request_id, idempotency_key, self.endpoints())
            try:
                yield unit
            except Refusal as refusal:
                if not refusal.keep:
                    raise
                committed_refusal = refusal
            unit.write_changes()
        self._validate_events(unit)
        self.deliveries_due.set()
        if committed_refusal is not None:
            raise committed_refusal

    def _validate_events(self, unit: Unit) -> None:
        for event in unit.emitted:
            messages = check.object_errors(event)
            messages += check.object_errors(event["data"]["object"])
            if messages:
                self.record_finding("event", event["type"], messages)

    def record_finding(self, kind: str, operation: str, messages: list[str]) -> None:
        """Record violations of the document for `GET /_sim/findings`."""
        log.error("%s %s violates Stripe's document: %s", kind, operation, "; ".join(messages))
        self.store.run(
            "INSERT INTO findings (kind, operation, messages, at) VALUES (?, ?, ?, ?)",
            (kind, operation, "\n".join(messages), time.time()),
        )

    def is_down(self) -> bool:
        return time.monotonic() < self.down_until

    def start(self) -> None:
        self._ticker.start()

    def _tick(self) -> None:
        while not self.stopping.wait(0.5):
            try:
                while self.run_due():
                    pass
            except Exception:
                log.exception("A scheduled job failed.")

    def run_due(self) -> bool:
        if jobs.next_due_in_real_time(self.store) is None:
            return False
        with self.unit() as unit:
            job = jobs.next_due(unit, None, int(time.time()))
            if job is not None:
                jobs.run(unit, job)
        return job is not None

    def reset(self) -> None:
        """Delete all objects and settings, as between two tests."""
        self.store.clear()
        self.down_until = 0.0
        self.refusals = []

    def stop(self) -> None:
        self.stopping.set()
        self.deliveries_due.set()
        if self._ticker.is_alive():
            self._ticker.join(timeout=5)
        self.store.close()
