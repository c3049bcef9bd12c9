"""Run the simulator: `stripe-simulator --port N --data FOLDER --webhook-url URL --webhook-secret whsec_...`."""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from stripe_simulator import coverage
from stripe_simulator.server import Server
from stripe_simulator.simulator import Simulator


def arguments() -> argparse.Namespace:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="stripe-simulator", description="A stateful simulator of Stripe.")
    parser.add_argument("--host", default=env("STRIPE_SIM_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(env("STRIPE_SIM_PORT", "0")), help="0 chooses a free port")
    parser.add_argument("--data", default=env("STRIPE_SIM_DATA"), help="directory of the stored state; without it nothing is stored")
    parser.add_argument("--webhook-url", default=env("STRIPE_SIM_WEBHOOK_URL"))
    parser.add_argument("--webhook-secret", default=env("STRIPE_SIM_WEBHOOK_SECRET"))
    parser.add_argument(
        "--secret-key", default=env("STRIPE_SIM_SECRET_KEY"), help="the accepted key; without it any sk_test_ key is accepted"
    )
    parser.add_argument("--coverage", action="store_true", help="print a Markdown table of the operations and events, and exit")
    options = parser.parse_args()
    if options.webhook_url and not options.webhook_secret:
        parser.error("--webhook-url needs --webhook-secret: an unsigned event would be refused")
    return options


def main() -> int:
    options = arguments()
    if options.coverage:
        print(coverage.table())
        return 0
    logging.basicConfig(level=os.environ.get("STRIPE_SIM_LOG", "WARNING"), format="%(levelname)s %(name)s %(message)s")
    sim = Simulator(
        data=Path(options.data) if options.data else None,
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret,
        secret_key=options.secret_key,
    )
    server = Server(sim, options.port, options.host)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # shutdown() waits until serve_forever() returns, which this thread runs, so another thread must call it.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.begin()
    print(f"Stripe simulator ready at {sim.base_url}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.end()
    return 0


def run() -> None:
    """Serve until SIGTERM or SIGINT, then exit the process."""
    code = main()
    sys.stdout.flush()
    # All state is committed. Exit without waiting for a delivery to an endpoint that does not respond.
    os._exit(code)


if __name__ == "__main__":
    run()
