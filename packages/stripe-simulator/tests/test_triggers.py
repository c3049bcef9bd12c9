"""Scripts that trigger each event of the objects that this product uses. Each must end with its event, valid by Stripe's document."""

from typing import Any

import pytest
import requests
import stripe
from simulator_fixtures import pay, post
from stripe_simulator.routes import check
from stripe_simulator.testing import KEY, Running
from trigger_scripts import SCRIPTS, Step


def resolve(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: resolve(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, known) for inner in value]
    if not isinstance(value, str) or "<" not in value:
        return value
    before, _, rest = value.partition("<")
    path, _, after = rest.partition(">")
    result: Any = known
    for step in path.split("."):
        result = result[int(step)] if step.isdigit() else result[step]
    return resolve(f"{before}{result}{after}", known)


def play(simulator: Running, client: stripe.StripeClient, steps: tuple[Step, ...]) -> None:
    known: dict[str, Any] = {}
    for name, call, parameters in steps:
        verb, _, where = resolve(call, known).partition(" ")
        if verb == "CARD":
            assert pay(where).status_code == 303
        elif verb == "IBAN":
            assert post(where, email="jenny@example.com", billingName="Jenny", **parameters).status_code == 303
        elif where.startswith("/_sim/"):
            requests.post(simulator.base_url + where, timeout=10)
        elif name.startswith("!"):
            with pytest.raises(stripe.CardError):
                client.raw_request(verb.lower(), where, **resolve(parameters, known))
        else:
            answer = client.raw_request(verb.lower(), where, **resolve(parameters, known))
            known[name] = client.deserialize(answer, api_mode="V1").to_dict()


@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_trigger_script_emits_a_valid_event(simulator: Running, client: stripe.StripeClient, kind: str) -> None:
    play(simulator, client, SCRIPTS[kind])
    url = f"{simulator.base_url}/v1/events?type={kind}"
    events = requests.get(url, headers={"Authorization": f"Bearer {KEY}"}, timeout=10).json()["data"]
    assert events, f"{kind} was not emitted"
    for event in events:
        assert check.object_errors(event) == []
        assert check.object_errors(event["data"]["object"]) == []
