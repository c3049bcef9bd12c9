"""Any process is killed under load: what was acknowledged is counted exactly once."""

import itertools
import os
import signal
import threading
import time

import httpx
import pytest

from tests.support.customers import sign_up

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

# Between the calls of a caller. Without it the calls would use all the time of the machine while a server starts.
PAUSE = 0.02


@pytest.fixture
def owner(world):
    ada = sign_up(world)
    ada.subscribe("pro")
    yield ada
    ada.close()


class Callers:
    """Threads that send calls one by one, each with a new key, repeated until there is a response.

    `acknowledged` are the keys of the calls that were allowed, at the first or a later attempt.
    """

    def __init__(self, owner, urls, threads=4):
        self.owner, self.urls = owner, urls
        self.acknowledged: set[str] = set()
        self.refused: list[str] = []
        self.interrupted = 0
        self.numbers = itertools.count()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.call, args=(urls[number % len(urls)],)) for number in range(threads)]

    def __enter__(self):
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for each in self.threads:
            each.join(60)

    def call(self, url):
        with httpx.Client(timeout=10) as client:
            while not self.stopping.is_set():
                self.ask(client, url, f"call-{next(self.numbers)}")
                time.sleep(PAUSE)

    def ask(self, client, url, key):
        """Complete the current call also after `stop`, so that no call is left in doubt."""
        headers = {"Authorization": f"Bearer {self.owner.key}", "Idempotency-Key": key}
        deadline = time.monotonic() + 50
        while time.monotonic() < deadline:
            try:
                answer = client.post(f"{url}/api/usage/authorize", json={"feature": "sessions"}, headers=headers)
            except httpx.TransportError:
                self.interrupted += 1
                time.sleep(0.05)
                continue
            if answer.status_code == 200:
                self.acknowledged.add(key)
                return
            # The same key is in progress elsewhere, or the service is unavailable for a moment and says when to retry.
            if answer.status_code != 409 and not (answer.status_code == 503 and "Retry-After" in answer.headers):
                self.refused.append(f"{answer.status_code} {answer.text}")
                return
            self.interrupted += 1
            time.sleep(0.05)
        self.refused.append(f"{key} was never answered")

    def until(self, more):
        """Wait until `number` more calls are acknowledged."""
        expected = len(self.acknowledged) + more
        deadline = time.monotonic() + 60
        while len(self.acknowledged) < expected:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {expected}; refused: {self.refused[:3]}"
            time.sleep(0.02)


def counted(owner):
    return next(each["used"] for each in owner.api.get("/api/usage/current")["usage"] if each["feature"] == "sessions")


def everywhere(world):
    return [world.url, world.world.environment["GATE_URL"]]


def test_web_and_gate_killed_during_requests(world, owner):
    with Callers(owner, everywhere(world)) as callers:
        callers.until(30)
        for name in ("web", "gate"):
            world.kill(name)
            time.sleep(0.2)
            world.start(name)
            callers.until(20)
    assert callers.interrupted, "the kills interrupted no request"
    assert callers.refused == []
    assert counted(owner) == len(callers.acknowledged)


def test_valkey_killed_and_restarted_during_requests(world, owner, own):
    """Only rate limits are lost with Valkey; signed-in users stay signed in."""
    with Callers(owner, everywhere(world)) as callers:
        callers.until(20)
        own.valkey.kill()
        assert world.readyz()["status"] == "degraded"
        callers.until(20)
        assert "/login" not in str(owner.browser.open(f"{world.url}/account/").url)
        own.valkey.start()
        callers.until(20)
    assert callers.refused == []
    assert counted(owner) == len(callers.acknowledged)
    world.until(lambda: world.readyz()["status"] == "ok", "ready again", 20)


def test_postgres_killed_and_restarted_during_requests(world, owner, own):
    with Callers(owner, everywhere(world)) as callers:
        callers.until(20)
        postmaster = own.postgres.process
        os.kill(postmaster.pid, signal.SIGKILL)
        time.sleep(0.5)
        assert httpx.get(f"{world.url}/readyz", timeout=20).status_code == 503
        own.postgres.start()
        callers.until(20)
    assert callers.interrupted
    assert callers.refused == []
    assert counted(owner) == len(callers.acknowledged)
    assert world.processes["worker"].alive


def test_postgres_restarted_ten_times_under_load(world, owner, own):
    with Callers(owner, everywhere(world)) as callers:
        for _ in range(10):
            callers.until(10)
            own.postgres.stop()
            own.postgres.start()
        callers.until(10)
    assert callers.interrupted, "the restarts interrupted no request"
    assert callers.refused == []
    assert counted(owner) == len(callers.acknowledged)
    assert all(world.processes[name].alive for name in ("web", "gate", "worker"))


def test_a_worker_killed_during_a_checkout(world, owner):
    """All of Stripe's events arrive while no worker runs; the next worker processes each once."""
    world.kill("worker")
    owner.api.post("/api/billing/cancel", {"at": "period_end"})
    owner.api.post("/api/billing/resume")
    world.start("worker")
    time.sleep(0.3)
    world.kill("worker")
    world.start("worker")
    world.until(lambda: owner.api.get("/api/billing/subscription")["cancelAt"] is None, "resumed", 40)
    assert owner.api.get("/api/organization")["plan"] == "pro"
    assert len(owner.api.get("/api/billing/invoices")["data"]) == 1
