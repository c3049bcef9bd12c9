"""Deliveries: each event is sent to each subscribed endpoint, signed at every attempt, in parallel, and retried until it succeeds."""

import contextlib
import hashlib
import hmac
import http.client
import json
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from stripe_simulator.simulator import Simulator, log
from stripe_simulator.types import Obj, load_json

MAX_CONCURRENT = 8
MAX_ATTEMPTS = 16
INITIAL_BACKOFF_SECONDS = 1.0  # Seconds. Stripe waits much longer, but a local run should not take an hour.
MAX_BACKOFF_SECONDS = 60.0
TIMEOUT_SECONDS = 20.0


def signature(secret: str, moment: int, body: bytes) -> str:
    signed = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={signed}"


class WebhookDispatcher:
    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.in_flight: set[int] = set()
        self.pool = ThreadPoolExecutor(MAX_CONCURRENT, thread_name_prefix="stripe-webhook")
        self.thread = threading.Thread(target=self._loop, name="stripe-webhook-dispatcher", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def join(self) -> None:
        self.thread.join(timeout=5)
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _loop(self) -> None:
        while not self.sim.stopping.is_set():
            self.sim.deliveries_due.wait(0.1)
            self.sim.deliveries_due.clear()
            if self.sim.is_down() or self.sim.stopping.is_set():
                continue
            try:
                for row in self._due_deliveries():
                    self.in_flight.add(row["id"])
                    self.pool.submit(self._deliver, row)
            except Exception:
                if not self.sim.stopping.is_set():
                    log.exception("The webhook dispatcher failed.")

    def _due_deliveries(self) -> list[sqlite3.Row]:
        rows = self.sim.store.all(
            "SELECT * FROM deliveries WHERE state = 'pending' AND due <= ? ORDER BY due, id LIMIT 200", (time.time(),)
        )
        return [row for row in rows if row["id"] not in self.in_flight][: MAX_CONCURRENT * 4]

    def _deliver(self, row: sqlite3.Row) -> None:
        if self.sim.stopping.is_set():
            return
        status, error = None, None
        try:
            endpoint, event = self._endpoint(row["endpoint"]), self._event(row["event"])
            if endpoint is None or event is None:
                self._record_attempt(row, "gone", None, None)
                return
            status = self._post(endpoint, event)
        except (OSError, http.client.HTTPException) as problem:
            error = f"{type(problem).__name__}: {problem}"
        except Exception as problem:
            log.exception("A delivery failed unexpectedly.")
            error = repr(problem)
        try:
            state = "delivered" if status is not None and 200 <= status < 300 else "pending"
            if state == "pending" and row["attempts"] + 1 >= MAX_ATTEMPTS:
                state = "given_up"
            self._record_attempt(row, state, status, error)
        finally:
            self.in_flight.discard(row["id"])
            self.sim.deliveries_due.set()

    def _record_attempt(self, row: sqlite3.Row, state: str, status: int | None, error: str | None) -> None:
        wait = min(INITIAL_BACKOFF_SECONDS * 2 ** row["attempts"], MAX_BACKOFF_SECONDS)
        # The server was closed meanwhile. As at Stripe, the event is delivered again, after the next start.
        with contextlib.suppress(sqlite3.ProgrammingError):
            self.sim.store.run(
                "UPDATE deliveries SET state = ?, status = ?, error = ?, attempts = attempts + 1, due = ?, sent = ? WHERE id = ?",
                (state, status, error, time.time() + wait, time.time(), row["id"]),
            )

    def _endpoint(self, id: str) -> Obj | None:
        for endpoint in self.sim.endpoints():
            if endpoint["id"] == id:
                return endpoint
        row = self.sim.store.one("SELECT body FROM objects WHERE id = ? AND deleted = 0", (id,))
        endpoint_object: Obj | None = load_json(row["body"]) if row else None
        if endpoint_object is not None:
            endpoint_object["secret"] = endpoint_object["_secret"]
        return endpoint_object

    def _event(self, id: str) -> Obj | None:
        row = self.sim.store.one("SELECT body FROM objects WHERE id = ?", (id,))
        return load_json(row["body"]) if row else None

    def _post(self, endpoint: Obj, event: Obj) -> int:
        body = json.dumps(event, indent=2).encode()
        parts = urlsplit(endpoint["url"])
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                "Stripe-Signature": signature(endpoint["secret"], int(time.time()), body),
            }
            connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def drain(self, timeout: float) -> bool:
        """Wait until no deliveries are left."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            row = self.sim.store.one("SELECT COUNT(*) AS left FROM deliveries WHERE state = 'pending'")
            if row is not None and row["left"] == 0 and not self.in_flight:
                return True
            time.sleep(0.02)
        return False
