"""The simulator itself: one store, one lock, and whatever asks: the API, the hosted pages, the control endpoints, time."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from contextmcp.local.stripe import jobs, settling  # noqa: F401 (settling registers a job)
from contextmcp.local.stripe.errors import Refusal
from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.routes import check
from contextmcp.local.stripe.store import Store
from contextmcp.local.stripe.unit import Unit

log = logging.getLogger("contextmcp.local.stripe")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]  # names in lower case
    body: str


@dataclass(frozen=True)
class Answer:
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
        self.news = threading.Event()  # something may be ready for delivery
        self.stopping = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="stripe-ticker", daemon=True)

    def endpoints(self) -> tuple[Obj, ...]:
        if not self.webhook_url:
            return ()
        return ({"id": "we_configured", "url": self.webhook_url, "secret": self.webhook_secret, "enabled_events": ["*"]},)

    @contextmanager
    def unit(self, request_id: str | None = None, idempotency_key: str | None = None) -> Iterator[Unit]:
        """One transaction: state, events and deliveries together. A refusal that keeps its history commits, then refuses."""
        kept: Refusal | None = None
        with self.store.transaction():
            unit = Unit(self.store, self.base_url, request_id, idempotency_key, self.endpoints())
            try:
                yield unit
            except Refusal as refusal:
                if not refusal.keep:
                    raise
                kept = refusal
            unit.finish()
        self._judge_events(unit)
        self.news.set()
        if kept is not None:
            raise kept

    def _judge_events(self, unit: Unit) -> None:
        for event in unit.told:
            messages = check.object_errors(event)
            messages += check.object_errors(event["data"]["object"])
            if messages:
                self.finding("event", event["type"], messages)

    def finding(self, kind: str, operation: str, messages: list[str]) -> None:
        """What the document does not allow, kept for whoever asks `GET /_sim/findings`."""
        log.error("%s %s is not as Stripe's document says: %s", kind, operation, "; ".join(messages))
        self.store.run(
            "INSERT INTO findings (kind, operation, messages, at) VALUES (?, ?, ?, ?)",
            (kind, operation, "\n".join(messages), time.time()),
        )

    def is_down(self) -> bool:
        return time.monotonic() < self.down_until

    # Real time

    def start(self) -> None:
        self._ticker.start()

    def _tick(self) -> None:
        while not self.stopping.wait(0.5):
            try:
                while self.run_due():
                    pass
            except Exception:
                log.exception("A due job failed")

    def run_due(self) -> bool:
        if jobs.peek(self.store) is None:
            return False
        with self.unit() as unit:
            job = jobs.next_due(unit, None, int(time.time()))
            if job is not None:
                jobs.run(unit, job)
        return job is not None

    def reset(self) -> None:
        """Forget everything, as between two tests."""
        self.store.clear()
        self.down_until = 0.0

    def stop(self) -> None:
        self.stopping.set()
        self.news.set()
        if self._ticker.is_alive():
            self._ticker.join(timeout=5)
        self.store.close()
