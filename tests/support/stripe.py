"""Stripe for tests: the simulator over HTTP, its events in any order, and the queue, which is run in this process."""

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
from stripe_simulator.testing import Running, running

from billing.inbound.wsgi_shortcut import PATH, short_circuit_webhooks
from billing.stripe.gateway import client as gateway
from tests.support.published_catalog import PublishedCatalog

SECRET_KEY = "sk_test_" + "simulated" * 4
WEBHOOK_SECRET = "whsec_" + "first" * 6
OLD_WEBHOOK_SECRET = "whsec_" + "older" * 6
DAY = 86_400
_front = short_circuit_webhooks(lambda environ, start_response: ())


def sign(body: str, secret: str = WEBHOOK_SECRET, *, at: float | None = None, scheme: str = "v1") -> str:
    """Return a `Stripe-Signature` header."""
    stamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{stamp}.{body}".encode(), sha256).hexdigest()
    return f"t={stamp},{scheme}={digest}"


class Stripe:
    """What tests do at Stripe, and the delivery of its events to the product."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.sdk = server.client(SECRET_KEY).v1
        self.session = requests.Session()
        self.session.auth = (SECRET_KEY, "")
        self.last_event_id = ""  # the last event that `new_events` returned

    @property
    def url(self) -> str:
        return self.server.base_url

    def control(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/_sim/{path}", json=parameters, timeout=60)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def events(self, after: str = "") -> list[dict[str, Any]]:
        """Return all events, or those after an event, oldest first, as they were sent."""
        events: list[dict[str, Any]] = []
        while True:
            # Page backwards, or forwards from an event. Both kinds of page are newest first.
            edge = (
                {"ending_before": events[-1]["id"] if events else after} if after else {"starting_after": events[0]["id"]} if events else {}
            )
            answer = self.session.get(f"{self.url}/v1/events", params={"limit": 100, **edge}, timeout=60)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            events = [*events, *page["data"][::-1]] if after else [*page["data"][::-1], *events]
            if not page["has_more"]:
                return events

    def new_events(self) -> list[dict[str, Any]]:
        """Return the events since the last call."""
        fresh = self.events(self.last_event_id)
        self.last_event_id = fresh[-1]["id"] if fresh else self.last_event_id
        return fresh

    def deliver(self, events: Iterable[dict[str, Any]] | None = None) -> int:
        """Post events (by default the new ones) to the product's endpoint, then run the queue. Return the number of jobs that ran."""
        for event in self.new_events() if events is None else events:
            assert post(event).status_code == 200
        return work()

    def card(self, customer: str, token: str = "pm_card_visa") -> str:
        """Attach a card and make it the default."""
        card = self.sdk.payment_methods.attach(token, {"customer": customer})
        self.sdk.customers.update(customer, {"invoice_settings": {"default_payment_method": card.id}})
        return card.id

    def subscribe(self, customer: str, price: str, **more: Any) -> Any:
        return self.sdk.subscriptions.create({"customer": customer, "items": [{"price": price}], **more})  # type: ignore[arg-type]

    def attach_test_clock(self, customer: str, at: float | None = None) -> str:
        """Attach an existing customer to a new test clock."""
        clock = self.sdk.test_helpers.test_clocks.create({"frozen_time": int(time.time() if at is None else at)})
        self.control(f"customers/{customer}/clock", test_clock=clock.id)
        return clock.id

    def advance(self, clock: str, *, days: float = 0, to: int | None = None) -> None:
        """Advance a clock and wait until it is ready."""
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
    """Post one delivery to the product's endpoint."""
    body = event if isinstance(event, str) else json.dumps(event)
    return Client(raise_request_exception=True).post(
        PATH,
        body,
        content_type="application/json",
        headers={"Stripe-Signature": sign(body, secret) if header is None else header},
    )


def post_through_wsgi(event: dict[str, Any]) -> int:
    """Deliver as in production, in front of Django's middleware, which takes much less time. Return the status."""
    body = json.dumps(event)
    request = RequestFactory().post(PATH, body, content_type="application/json", headers={"Stripe-Signature": sign(body)})
    answers: list[str] = []
    _front(request.environ, lambda status, headers: answers.append(status))
    return int(answers[0].split()[0])


def jobs(*tasks: str) -> list[tuple[int, str, dict[str, Any]]]:
    """Return the queued jobs in order; by default all."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, task_name, args FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id")
        rows = cursor.fetchall()
    parsed = [(number, name, args if isinstance(args, dict) else json.loads(args)) for number, name, args in rows]
    return [row for row in parsed if not tasks or row[1] in tasks]


def work(*, limit: int = 500) -> int:
    """Run queued jobs in this process and transaction. Errors fail the test. Return the number of jobs that ran."""
    done = 0
    while queued := jobs():
        for number, name, args in queued:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [number])
            run(name, **args)
            done += 1
            assert done <= limit, "the queue does not end"
    return done


def run(name: str, **args: Any) -> None:
    """Call a task's function as the worker would."""
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
    """Let the product talk to the simulator. At the end, no request may have violated Stripe's document."""
    stripe_server.reset()
    world = Stripe(stripe_server)
    values = {
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_API_BASE": stripe_server.base_url,
        "STRIPE_WEBHOOK_SECRETS": [WEBHOOK_SECRET],
    }
    with override_settings(**values):
        gateway.configure()
        yield world
    gateway.configure()
    findings = world.findings()
    assert not findings, "\n".join(findings)


@pytest.fixture(scope="session")
def published_catalog(stripe_server: Running) -> PublishedCatalog:
    return PublishedCatalog(stripe_server)


@pytest.fixture
def stripe_world(db: None, stripe_configured: Stripe, published_catalog: PublishedCatalog) -> Stripe:
    """Publish the catalog to the simulator."""
    published_catalog.publish()
    stripe_configured.new_events()
    return stripe_configured
