"""The simulator as a separate process and under concurrent requests."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
import stripe
from simulator_fixtures import StripeApi, pay
from stripe_simulator.testing import KEY, Running

ROOT = Path(__file__).resolve().parents[2]


def start(data: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "stripe_simulator", "--data", str(data), *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Stripe simulator ready at http://"), line
    return process, line.rsplit(" ", 1)[1].strip()


def test_the_process_starts_stops_on_a_signal_and_keeps_its_state(tmp_path: Path) -> None:
    created = ""
    for _ in range(2):
        process, url = start(tmp_path, "--secret-key", KEY)
        client = stripe.StripeClient(KEY, base_addresses={"api": url})
        if created:
            assert client.v1.customers.retrieve(created).name == "Kept"
        created = client.v1.customers.create({"name": "Kept"}).id
        other = requests.get(f"{url}/v1/account", headers={"Authorization": f"Bearer sk_test_{'b' * 24}"}, timeout=5)
        assert other.status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_25_concurrent_checkouts(simulator: Running, stripe_api: StripeApi) -> None:
    price = stripe_api.price(900).id
    sessions = [stripe_api.checkout(price, customer=stripe_api.v1.customers.create({"name": str(number)}).id) for number in range(25)]
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda session: pay(session.url).status_code, sessions))
    assert answers == [303] * 25
    result = stripe_api.v1.subscriptions.list({"limit": 100}).data
    assert (len(result), {each.status for each in result}) == (25, {"active"})
    assert len(stripe_api.v1.charges.list({"limit": 100}).data) == 25


def test_concurrent_requests_with_one_key_create_one_object(simulator: Running, stripe_api: StripeApi) -> None:
    def create(_: int) -> str:
        return simulator.client().v1.customers.create({"name": "One"}, {"idempotency_key": "only"}).id

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(create, range(10)))) == 1
    assert len(stripe_api.v1.customers.list().data) == 1


def test_the_simulator_does_not_import_the_product() -> None:
    code = "import stripe_simulator.server, sys; print([m for m in sys.modules if m.split('.')[0] in {'django', 'billing', 'usage'}])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"
