"""`python -m contextmcp.gateway`: check the pricing file, then serve the gateway on a port of its own."""

import argparse
import os
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory

from django.conf import settings

from contextmcp.gate.__main__ import Supervisor, listen
from contextmcp.startup import load_settings, refuse_transaction_pooling, stop

# Open streams get 15 s, and then settlements 10 s.
SHUTDOWN_TIMEOUT_SECONDS = 30.0


def main() -> None:
    """Serve until SIGTERM. SIGHUP replaces the workers."""
    parser = argparse.ArgumentParser(prog="python -m contextmcp.gateway", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3003)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    load_settings("gateway")
    check_pricing()
    refuse_transaction_pooling()
    with ExitStack() as stack:
        if settings.METRICS_TOKEN and not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            # With this directory, each worker returns the metrics of all workers.
            with suppress(OSError):
                os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(TemporaryDirectory(prefix="contextmcp-gateway-"))
        listening = listen(options.host, options.port)
        Supervisor(listening, options.workers, "contextmcp.gateway.worker", SHUTDOWN_TIMEOUT_SECONDS).run()


def check_pricing() -> None:
    """End this process with a sentence for each fault of the pricing file."""
    from .configuration import load_servers  # noqa: PLC0415 - needs the settings
    from .pricing import PricingError  # noqa: PLC0415

    try:
        load_servers()
    except PricingError as error:
        stop(str(error))


if __name__ == "__main__":
    main()
