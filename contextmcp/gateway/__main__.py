"""`python -m contextmcp.gateway`: check the pricing file, then serve the gateway on a port of its own."""

import argparse
import os
import sys

import django

from contextmcp.startup import load_settings, stop


def main() -> None:
    """Replace this process by the server."""
    parser = argparse.ArgumentParser(prog="python -m contextmcp.gateway", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3003)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    load_settings("gateway")
    django.setup()
    check_pricing()
    server = [sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--http", "1", "--no-ws"]
    server += ["--host", options.host, "--port", str(options.port), "--workers", str(options.workers)]
    server += ["--backlog", "2048", "--backpressure", "8192", "--http1-header-read-timeout", "15000", "--workers-kill-timeout", "15"]
    os.execv(sys.executable, [*server, "--no-access-log", "--log-level", "warning", "contextmcp.gateway.asgi:application"])  # noqa: S606


def check_pricing() -> None:
    """End this process with a sentence for each fault of the pricing file."""
    from .configuration import load_servers  # noqa: PLC0415 - Django must be set up first
    from .pricing import PricingError  # noqa: PLC0415

    try:
        load_servers()
    except PricingError as error:
        stop(str(error))


if __name__ == "__main__":
    main()
