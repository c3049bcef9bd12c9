"""Published scenarios for Stripe's test clocks run unmodified against the simulator."""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import stripe
from simulator_fixtures import StripeApi
from stripe_simulator.testing import KEY, Running

SCENARIOS = sorted(path.name for path in (files("billing_e2e") / "scenarios").iterdir() if path.name.endswith(".yml"))
# billing-e2e has no option for the URL, so the SDK's default is replaced in the process that runs it.
RUN = """
import stripe, sys
from billing_e2e.cli import main
wired = stripe.StripeClient.__init__
def init(self, *args, **kwargs):
    wired(self, *args, base_addresses={"api": sys.argv[1], "meter_events": sys.argv[1]}, **kwargs)
stripe.StripeClient.__init__ = init
main(sys.argv[2:])
"""


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario_passes_unmodified(
    simulator: Running, stripe_api: StripeApi, client: stripe.StripeClient, tmp_path: Path, scenario: str
) -> None:
    monthly, upgrade = stripe_api.price(1000), stripe_api.price(2000)
    config = tmp_path / "billing-e2e.yml"
    config.write_text(f"stripe:\n  key: ${{STRIPE_TEST_KEY}}\nvars:\n  monthly_price: {monthly.id}\n  upgrade_price: {upgrade.id}\n")
    path = str(files("billing_e2e") / "scenarios" / scenario)
    command = [sys.executable, "-c", RUN, simulator.base_url, "--config", str(config), "run", path]
    done = subprocess.run(command, env={**os.environ, "STRIPE_TEST_KEY": KEY}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert client.v1.test_helpers.test_clocks.list().data == []
