"""Send 100,000 events three times each while all processes and servers are killed: each event is stored once, aggregated and billed."""

from __future__ import annotations

from django.test import override_settings
from stripe_simulator.testing import running

from billing.stripe.gateway import client as gateway
from tests.chaos import event_durability, killable_services
from tests.soak.metrics import Figures
from tests.soak.options import Options
from tests.support.stripe import SECRET_KEY, WEBHOOK_SECRET, Stripe

EVENTS, BATCH, CLIENTS, ROUNDS = 100_000, 100, 12, 4


def run(options: Options) -> Figures:
    size = options.size or options.many(EVENTS, minimum=1000)
    logs = options.logs / "durable"
    logs.mkdir(parents=True, exist_ok=True)
    with (
        running(secret_key=SECRET_KEY) as server,
        override_settings(STRIPE_SECRET_KEY=SECRET_KEY, STRIPE_API_BASE=server.base_url, STRIPE_WEBHOOK_SECRETS=[WEBHOOK_SECRET]),
        killable_services.own() as services,
    ):
        gateway.configure()
        batch = BATCH if size >= 10_000 else 10
        world = Stripe(server)
        result = event_durability.play(services, world, logs, size=size, batch=batch, clients=CLIENTS, rounds=ROUNDS, seed=options.seed)
        result.failures += world.findings()
    figures = Figures()
    figures.at_least("events", result.events, size)
    figures.at_least("sent", result.sent, 3 * size)
    figures.at_least("acknowledged", result.acknowledged, 3 * size)
    figures.add("seconds to send them", result.seconds)
    figures.add("batches repeated", result.again)
    for what in ("web", "gate", "worker", "valkey", "postgres"):
        figures.at_least(f"{what} killed", result.kills.get(what, 0), 1)
    figures.add("units used", result.units)
    figures.add("units of overage at Stripe", result.at_stripe)
    figures.none("failures", result.failures)
    return figures
