"""Send 10,000 random requests with a customer's default key to every endpoint of web and gate: the customer gains nothing."""

from __future__ import annotations

from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options, say
from tests.support.gates import gate_process
from tests.support.properties import HealthCheck, Phase, given, seed, settings
from tests.support.trust import GeneratedRequest, Stage, attempt, requests

REQUESTS = 10_000


def run(options: Options) -> Figures:
    target, gained = options.many(REQUESTS), list[str]()
    sent = 0
    with services.database(), gate_process() as gate:
        customer = Stage(gate.port)

        @seed(options.seed)
        @settings(max_examples=target, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(requests)
        def send(request: GeneratedRequest) -> None:
            nonlocal sent
            gained.extend(f"{request}: {gain}" for gain in attempt(customer, request))
            sent += 1
            if sent % 500 == 0:
                say(f"  {sent} requests, {len(gained)} gains")

        # Drawing an element twice ends the loop early.
        while sent < target:
            send()
    figures = Figures()
    figures.at_least("requests", sent, target)
    for status in sorted(customer.statuses):
        figures.add(f"answered {status}" if status else "closed", customer.statuses[status])
    figures.at_most("answered 500", customer.statuses.get(500, 0), 0)
    figures.none("gains", gained)
    return figures
