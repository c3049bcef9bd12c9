"""Whatever is killed with callers in the middle: what was acknowledged is counted, and counted once."""

import itertools
import os
import signal
import threading
import time

import httpx
import pytest

from tests.support.customers import sign_up

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


@pytest.fixture
def owner(world):
    ada = sign_up(world)
    ada.subscribe("pro")
    yield ada
    ada.close()


class Callers:
    """Threads that ask for sessions one by one, each call with a key of its own, repeated until it is answered.

    `acknowledged` are the keys that were answered with yes, the first time or a later one.
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
        while not self.stopping.is_set():
            self.ask(url, f"call-{next(self.numbers)}")

    def ask(self, url, key):
        """Also after it is told to stop: no call is left in doubt."""
        headers = {"Authorization": f"Bearer {self.owner.key}", "Idempotency-Key": key}
        deadline = time.monotonic() + 50
        while time.monotonic() < deadline:
            try:
                answer = httpx.post(f"{url}/api/usage/authorize", json={"feature": "sessions"}, headers=headers, timeout=10)
            except httpx.TransportError:
                self.interrupted += 1
                time.sleep(0.05)
                continue
            if answer.status_code == 200:
                self.acknowledged.add(key)
                return
            # Under way elsewhere, or not to be had at the moment.
            if answer.status_code not in (409, 500, 502, 503):
                self.refused.append(answer.text)
                return
            if answer.status_code == 500:
                self.refused.append(answer.text)
            self.interrupted += 1
            time.sleep(0.05)
        self.refused.append(f"{key} was never answered")

    def until(self, more):
        """So many more calls are acknowledged."""
        wanted = len(self.acknowledged) + more
        deadline = time.monotonic() + 60
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {wanted}; refused: {self.refused[:3]}"
            time.sleep(0.02)


def counted(owner):
    return next(each["used"] for each in owner.api.get("/api/usage/current")["usage"] if each["feature"] == "sessions")


def everywhere(world):
    return [world.url, world.world.environment["GATE_URL"]]


def test_web_and_gate_killed_in_the_middle(world, owner):
    with Callers(owner, everywhere(world)) as callers:
        callers.until(30)
        for name in ("web", "gate"):
            world.kill(name)
            time.sleep(0.2)
            world.start(name)
            callers.until(20)
    assert callers.interrupted, "the kills met nobody"
    assert callers.refused == []
    assert counted(owner) == len(callers.acknowledged)


def test_valkey_killed_and_restarted_in_the_middle(world, owner, own):
    """Nothing but the rates knew it; and who is signed in stays so."""
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


def test_postgres_killed_and_restarted_in_the_middle(world, owner, own):
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


def test_the_worker_killed_with_a_checkout_on_its_way(world, owner):
    """All of Stripe's news arrive while nobody works; whoever comes next does it, once."""
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
