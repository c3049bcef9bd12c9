"""Deliveries: each event to each endpoint that listens, signed anew at every attempt, in parallel, retried until it is taken."""

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

from contextmcp.local.stripe.kinds import Obj, read
from contextmcp.local.stripe.simulator import Simulator, log

AT_ONCE = 8
ATTEMPTS = 16
FIRST_WAIT = 1.0  # seconds; Stripe waits far longer, but nobody watches a local world for an hour
LONGEST_WAIT = 60.0
TIMEOUT = 20.0


def signature(secret: str, moment: int, body: bytes) -> str:
    signed = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={signed}"


class Courier:
    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.busy: set[int] = set()
        self.pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stripe-webhook")
        self.thread = threading.Thread(target=self._loop, name="stripe-courier", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def join(self) -> None:
        self.thread.join(timeout=5)
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _loop(self) -> None:
        while not self.sim.stopping.is_set():
            self.sim.news.wait(0.1)
            self.sim.news.clear()
            if self.sim.is_down() or self.sim.stopping.is_set():
                continue
            try:
                for row in self._due():
                    self.busy.add(row["id"])
                    self.pool.submit(self._deliver, row)
            except Exception:
                if not self.sim.stopping.is_set():
                    log.exception("The courier stumbled")

    def _due(self) -> list[sqlite3.Row]:
        rows = self.sim.store.all(
            "SELECT * FROM deliveries WHERE state = 'pending' AND due <= ? ORDER BY due, id LIMIT 200", (time.time(),)
        )
        return [row for row in rows if row["id"] not in self.busy][: AT_ONCE * 4]

    def _deliver(self, row: sqlite3.Row) -> None:
        if self.sim.stopping.is_set():
            return
        status, error = None, None
        try:
            endpoint, event = self._endpoint(row["endpoint"]), self._event(row["event"])
            if endpoint is None or event is None:
                self._note(row, "gone", None, None)
                return
            status = self._post(endpoint, event)
        except (OSError, http.client.HTTPException) as problem:
            error = f"{type(problem).__name__}: {problem}"
        except Exception as problem:
            log.exception("A delivery failed in an unforeseen way")
            error = repr(problem)
        try:
            state = "delivered" if status is not None and 200 <= status < 300 else "pending"
            if state == "pending" and row["attempts"] + 1 >= ATTEMPTS:
                state = "given_up"
            self._note(row, state, status, error)
        finally:
            self.busy.discard(row["id"])
            self.sim.news.set()

    def _note(self, row: sqlite3.Row, state: str, status: int | None, error: str | None) -> None:
        wait = min(FIRST_WAIT * 2 ** row["attempts"], LONGEST_WAIT)
        # Closed meanwhile: at the next start it is delivered again, as at Stripe.
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
        found: Obj | None = read(row["body"]) if row else None
        if found is not None:
            found["secret"] = found["_secret"]
        return found

    def _event(self, id: str) -> Obj | None:
        row = self.sim.store.one("SELECT body FROM objects WHERE id = ?", (id,))
        return read(row["body"]) if row else None

    def _post(self, endpoint: Obj, event: Obj) -> int:
        body = json.dumps(event, indent=2).encode()
        parts = urlsplit(endpoint["url"])
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
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
        """Wait until nothing is left to deliver."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            row = self.sim.store.one("SELECT COUNT(*) AS left FROM deliveries WHERE state = 'pending'")
            if row is not None and row["left"] == 0 and not self.busy:
                return True
            time.sleep(0.02)
        return False
