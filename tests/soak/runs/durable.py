"""100,000 events, each sent three times, while web, gates, worker, Valkey and Postgres are killed: all there once, summed up and billed."""

from __future__ import annotations

from django.test import override_settings

from billing.gateway import client as gateway
from contextmcp.local.stripe.running import running
from tests.chaos import durable, places
from tests.soak.figures import Figures
from tests.soak.options import Options
from tests.support.stripe import SECRET_KEY, WEBHOOK_SECRET, Stripe

EVENTS, BATCH, CLIENTS, ROUNDS = 100_000, 100, 12, 4


def run(options: Options) -> Figures:
    wanted = options.size or options.many(EVENTS, least=1000)
    logs = options.logs / "durable"
    logs.mkdir(parents=True, exist_ok=True)
    with (
        running(secret_key=SECRET_KEY) as server,
        override_settings(STRIPE_SECRET_KEY=SECRET_KEY, STRIPE_API_BASE=server.base_url, STRIPE_WEBHOOK_SECRETS=[WEBHOOK_SECRET]),
        places.own() as services,
    ):
        gateway.configure()
        batch = BATCH if wanted >= 10_000 else 10
        world = Stripe(server)
        found = durable.play(services, world, logs, size=wanted, batch=batch, clients=CLIENTS, rounds=ROUNDS, seed=options.seed)
        found.wrong += world.findings()
    figures = Figures()
    figures.at_least("events", found.events, wanted)
    figures.at_least("sent", found.sent, 3 * wanted)
    figures.at_least("acknowledged", found.acknowledged, 3 * wanted)
    figures.tell("seconds to send them", found.seconds)
    figures.tell("batches sent again", found.again)
    for what in ("web", "gate", "worker", "valkey", "postgres"):
        figures.at_least(f"{what} killed", found.kills.get(what, 0), 1)
    figures.tell("units used", found.units)
    figures.tell("units of overage at Stripe", found.at_stripe)
    figures.none("not as it should be", found.wrong)
    return figures
