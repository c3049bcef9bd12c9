"""Stripe for tests: the simulator over HTTP, its events in the order a test likes, and the queue worked off in this process."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from django.db import connection
from django.test import Client, RequestFactory, override_settings
from procrastinate.contrib.django import app

from billing.gateway import client as gateway
from billing.services import publish
from billing.webhooks.front import PATH, in_front
from contextmcp.local.stripe.running import Running, running

SECRET_KEY = "sk_test_" + "simulated" * 4
WEBHOOK_SECRET = "whsec_" + "first" * 6
OLD_WEBHOOK_SECRET = "whsec_" + "older" * 6
DAY = 86_400
_front = in_front(lambda environ, start_response: ())


def sign(body: str, secret: str = WEBHOOK_SECRET, *, at: float | None = None, scheme: str = "v1") -> str:
    """A `Stripe-Signature` header."""
    stamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{stamp}.{body}".encode(), sha256).hexdigest()
    return f"t={stamp},{scheme}={digest}"


class Stripe:
    """What tests do at Stripe's side, and how its news reach the product."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.sdk = server.client(SECRET_KEY).v1
        self.session = requests.Session()
        self.session.auth = (SECRET_KEY, "")
        self.heard = ""  # the last event that was looked at

    @property
    def url(self) -> str:
        return self.server.base_url

    def control(self, path: str, **given: Any) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/_sim/{path}", json=given, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    # Its events

    def events(self, after: str = "") -> list[dict[str, Any]]:
        """All that happened (after that event), oldest first, as it was said on the wire."""
        found: list[dict[str, Any]] = []
        while True:
            # Backwards page by page; or, from an event on, forwards. A page is newest first either way.
            edge = {"ending_before": found[-1]["id"] if found else after} if after else {"starting_after": found[0]["id"]} if found else {}
            answer = self.session.get(f"{self.url}/v1/events", params={"limit": 100, **edge}, timeout=60)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found = [*found, *page["data"][::-1]] if after else [*page["data"][::-1], *found]
            if not page["has_more"]:
                return found

    def news(self) -> list[dict[str, Any]]:
        """What happened since the last look."""
        fresh = self.events(self.heard)
        self.heard = fresh[-1]["id"] if fresh else self.heard
        return fresh

    def deliver(self, events: Iterable[dict[str, Any]] | None = None) -> int:
        """Post events (by default the news) to the product's endpoint, then work the queue off. Returns how many jobs ran."""
        for event in self.news() if events is None else events:
            assert post(event).status_code == 200
        return work()

    # Its customers

    def card(self, customer: str, token: str = "pm_card_visa") -> str:
        """Attach a card and make it the default."""
        card = self.sdk.payment_methods.attach(token, {"customer": customer})
        self.sdk.customers.update(customer, {"invoice_settings": {"default_payment_method": card.id}})
        return card.id

    def subscribe(self, customer: str, price: str, **more: Any) -> Any:
        return self.sdk.subscriptions.create({"customer": customer, "items": [{"price": price}], **more})

    def hang_on_clock(self, customer: str, at: float | None = None) -> str:
        """Put an existing customer on a new test clock."""
        clock = self.sdk.test_helpers.test_clocks.create({"frozen_time": int(time.time() if at is None else at)})
        self.control(f"customers/{customer}/clock", test_clock=clock.id)
        return clock.id

    def advance(self, clock: str, *, days: float = 0, to: int | None = None) -> None:
        """Move a clock on and wait until it is there."""
        target = to or int(self.sdk.test_helpers.test_clocks.retrieve(clock).frozen_time + days * DAY)
        self.sdk.test_helpers.test_clocks.advance(clock, {"frozen_time": target})
        for _ in range(400):
            if self.sdk.test_helpers.test_clocks.retrieve(clock).status == "ready":
                return
            time.sleep(0.02)
        raise AssertionError("the clock did not arrive")

    def findings(self) -> list[str]:
        return self.server.findings()


def post(event: dict[str, Any] | str, *, secret: str = WEBHOOK_SECRET, header: str | None = None) -> Any:
    """One delivery to the product's endpoint."""
    body = event if isinstance(event, str) else json.dumps(event)
    return Client(raise_request_exception=True).post(
        PATH,
        body,
        content_type="application/json",
        headers={"Stripe-Signature": sign(body, secret) if header is None else header},
    )


def post_in_front(event: dict[str, Any]) -> int:
    """The same as production serves it, in front of Django's middleware: a fraction of the work where there are many. The status."""
    body = json.dumps(event)
    asked = RequestFactory().post(PATH, body, content_type="application/json", headers={"Stripe-Signature": sign(body)})
    answers: list[str] = []
    _front(asked.environ, lambda status, headers: answers.append(status))
    return int(answers[0].split()[0])


def jobs(*tasks: str) -> list[tuple[int, str, dict[str, Any]]]:
    """What waits in the queue, in order; by default everything."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, task_name, args FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id")
        rows = cursor.fetchall()
    parsed = [(number, name, args if isinstance(args, dict) else json.loads(args)) for number, name, args in rows]
    return [row for row in parsed if not tasks or row[1] in tasks]


def work(*, limit: int = 500) -> int:
    """Run what is queued, as a worker would, in this process and transaction. Errors are the test's. Returns how many jobs ran."""
    done = 0
    while found := jobs():
        for number, name, args in found:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [number])
            run(name, **args)
            done += 1
            assert done <= limit, "the queue does not end"
    return done


def run(name: str, **args: Any) -> None:
    """A task's function, as the worker would call it."""
    task = app.tasks[name]
    if task.pass_context:
        task.func(SimpleNamespace(job=SimpleNamespace(id=0, attempts=0, lock=None)), **args)
    else:
        task.func(**args)


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[Running]:
    with running(secret_key=SECRET_KEY) as server:
        yield server


@pytest.fixture
def stripe_configured(stripe_server: Running) -> Iterator[Stripe]:
    """The product talks to the simulator. At the end nothing may have been said that Stripe's document does not allow."""
    stripe_server.reset()
    world = Stripe(stripe_server)
    chosen = {
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_API_BASE": stripe_server.base_url,
        "STRIPE_WEBHOOK_SECRETS": [WEBHOOK_SECRET],
    }
    with override_settings(**chosen):
        gateway.configure()
        yield world
    gateway.configure()
    findings = world.findings()
    assert not findings, "\n".join(findings)


@pytest.fixture
def stripe_world(db: None, stripe_configured: Stripe) -> Stripe:
    """The catalogue is published there, too."""
    publish.publish()
    stripe_configured.news()
    return stripe_configured
