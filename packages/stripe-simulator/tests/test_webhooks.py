"""Webhook deliveries: signed, retried, shuffled, repeated, and never lost."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe
from simulator_fixtures import StripeApi
from stripe_simulator.testing import Running, running

SECRET = "whsec_" + "x" * 32


class Listener:
    """An endpoint that verifies each signature and answers as configured."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.answers: list[int] = []
        self.secret = SECRET
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                stripe.WebhookSignature.verify_header(body, self.headers["Stripe-Signature"], listener.secret, 300)
                status = listener.answers.pop(0) if listener.answers else 200
                listener.headers.append(self.headers["Stripe-Signature"])
                if status == 200:
                    listener.events.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks?from=stripe"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


@pytest.fixture
def listener() -> Iterator[Listener]:
    created = Listener()
    yield created
    created.server.shutdown()
    created.server.server_close()


@pytest.fixture
def wired(listener: Listener) -> Iterator[Running]:
    with running(webhook_url=listener.url, webhook_secret=SECRET) as simulator:
        yield simulator


def control(simulator: Running, path: str, **params: Any) -> dict[str, Any]:
    answer = requests.post(f"{simulator.base_url}/_sim/{path}", json=params, timeout=40)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_events_are_signed_and_their_payload_is_a_snapshot(wired: Running, listener: Listener) -> None:
    client = wired.client()
    customer = client.v1.customers.create({"name": "A"})
    client.v1.customers.update(customer.id, {"name": "B"})
    assert control(wired, "drain")["drained"]
    by_type = {event["type"]: event for event in listener.events}
    assert by_type["customer.created"]["data"]["object"]["name"] == "A"
    assert by_type["customer.updated"]["data"] | {"object": None} == {"object": None, "previous_attributes": {"name": "A"}}
    assert client.v1.events.retrieve(by_type["customer.created"]["id"]).pending_webhooks == 0


def test_a_failed_delivery_is_retried_with_a_new_signature(wired: Running, listener: Listener) -> None:
    listener.answers = [500]
    wired.client().v1.customers.create({})
    assert control(wired, "drain")["drained"]
    assert listener.types() == ["customer.created"]
    assert len(set(listener.headers)) == 2
    deliveries = requests.get(f"{wired.base_url}/_sim/deliveries", timeout=5).json()
    assert (deliveries["totals"], deliveries["deliveries"][0]["attempts"]) == ({"delivered": 1}, 2)


def test_api_endpoints_have_their_own_secret_and_events(listener: Listener) -> None:
    with running() as simulator:
        client = simulator.client()
        endpoint = client.v1.webhook_endpoints.create({"url": listener.url, "enabled_events": ["product.created"]})
        listener.secret = str(endpoint.secret)
        assert client.v1.webhook_endpoints.retrieve(endpoint.id).to_dict().get("secret") is None
        client.v1.customers.create({})
        client.v1.products.create({"name": "Pro"})
        assert simulator.drain()
        assert listener.types() == ["product.created"]


def test_an_event_can_be_redelivered(wired: Running, listener: Listener) -> None:
    client = wired.client()
    client.v1.customers.create({})
    wired.drain()
    control(wired, f"events/{listener.events[0]['id']}/redeliver")
    wired.drain()
    assert [event["id"] for event in listener.events] == [listener.events[0]["id"]] * 2


def test_faults_are_reproducible_by_seed(wired: Running, listener: Listener) -> None:
    counts = []
    for _ in range(2):
        listener.events.clear()
        control(wired, "chaos", seed=7, duplicate=0.5, drop=0.3, shuffle=0.2, delay=0.1)
        for number in range(12):
            wired.client().v1.customers.create({"name": str(number)})
        assert control(wired, "drain")["drained"]
        counts.append(sorted(event["data"]["object"]["name"] for event in listener.events))
    assert counts[0] == counts[1]
    assert len(set(counts[0])) < 12 < len(counts[0]) + 6


def test_an_outage_refuses_calls_and_delays_deliveries(wired: Running, listener: Listener) -> None:
    control(wired, "down", seconds=30)
    assert requests.get(f"{wired.base_url}/v1/account", timeout=5).status_code == 503
    with pytest.raises(stripe.APIError):
        wired.client(max_network_retries=0).v1.customers.create({})
    control(wired, "down", on=False)
    wired.client().v1.customers.create({})
    assert wired.drain()
    assert listener.types() == ["customer.created"]


def test_pending_deliveries_are_sent_after_a_restart(listener: Listener, tmp_path: Path) -> None:
    with running(data=tmp_path, webhook_url="http://127.0.0.1:9/", webhook_secret=SECRET) as first:
        stripe_api = StripeApi(first.client())
        customer = stripe_api.customer()
        subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    with running(data=tmp_path, webhook_url=listener.url, webhook_secret=SECRET) as second:
        again = StripeApi(second.client())
        assert again.v1.subscriptions.retrieve(subscription.id).status == "active"
        assert second.drain()
        assert "customer.subscription.created" in listener.types()
        assert again.renew(customer, subscription.id).status == "paid"


def test_due_jobs_run_in_real_time(simulator: Running, stripe_api: StripeApi) -> None:
    customer = stripe_api.v1.customers.create({})
    stripe_api.card(customer.id, "pm_card_visa")
    subscription = stripe_api.subscribe(customer, stripe_api.price().id, trial_end=int(time.time()) + 1)
    deadline = time.monotonic() + 5
    while stripe_api.v1.subscriptions.retrieve(subscription.id).status != "active" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stripe_api.latest(subscription.id).status == "draft"
