"""`python -m contextmcp.local.stripe --port N --data FOLDER --webhook-url URL --webhook-secret whsec_...`"""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from contextmcp.local.stripe.server import Server
from contextmcp.local.stripe.simulator import Simulator


def arguments() -> argparse.Namespace:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="python -m contextmcp.local.stripe", description="A stateful local Stripe.")
    parser.add_argument("--host", default=env("STRIPE_SIM_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(env("STRIPE_SIM_PORT", "0")), help="0 takes a free one")
    parser.add_argument("--data", default=env("STRIPE_SIM_DATA"), help="a folder to go on from; nothing is kept without it")
    parser.add_argument("--webhook-url", default=env("STRIPE_SIM_WEBHOOK_URL"))
    parser.add_argument("--webhook-secret", default=env("STRIPE_SIM_WEBHOOK_SECRET"))
    parser.add_argument("--secret-key", default=env("STRIPE_SIM_SECRET_KEY"), help="without it any sk_test_ key is taken")
    chosen = parser.parse_args()
    if chosen.webhook_url and not chosen.webhook_secret:
        parser.error("--webhook-url needs --webhook-secret: an unsigned event would be refused")
    return chosen


def main() -> int:
    chosen = arguments()
    logging.basicConfig(level=os.environ.get("STRIPE_SIM_LOG", "WARNING"), format="%(levelname)s %(name)s %(message)s")
    sim = Simulator(
        data=Path(chosen.data) if chosen.data else None,
        webhook_url=chosen.webhook_url,
        webhook_secret=chosen.webhook_secret,
        secret_key=chosen.secret_key,
    )
    server = Server(sim, chosen.port, chosen.host)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # shutdown() waits for the loop that this very thread runs, so it is asked for from another one.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.begin()
    print(f"Stripe simulator ready at {sim.base_url}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.end()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # All state is committed by now; a delivery that hangs on an endpoint which does not answer must not hold the exit up.
    os._exit(code)
