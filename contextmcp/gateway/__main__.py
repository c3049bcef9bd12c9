"""`python -m contextmcp.gateway`: check the pricing file, then serve the gateway on a port of its own."""

import argparse
import os
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory

from django.conf import settings

from contextmcp.startup import load_settings, stop

# As for the web server: connections, and the seconds that a client has for the headers of a request.
BACKLOG, BACKPRESSURE, HEADER_SECONDS = 2048, 8192, 15
# Streams that are open at the end get this time. Settlements need up to 10 s more (`GatewayApp.close`).
SHUTDOWN_TIMEOUT_SECONDS = 15


def main() -> None:
    """Serve until SIGTERM. SIGHUP replaces the workers."""
    parser = argparse.ArgumentParser(prog="python -m contextmcp.gateway", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3003)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    load_settings("gateway")
    check_pricing()
    with ExitStack() as stack:
        if settings.METRICS_TOKEN and not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            # Each worker answers `/metrics` for all of them.
            with suppress(OSError):
                os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(TemporaryDirectory(prefix="contextmcp-gateway-"))
        serve(options.host, options.port, options.workers)


def serve(host: str, port: int, workers: int) -> None:
    """Run granian in this process, with workers as processes of their own."""
    # Only now, because its presence tells `contextmcp.startup` that a worker imports the settings.
    from granian.constants import HTTPModes, Interfaces, Loops  # noqa: PLC0415
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415
    from granian.server import Server  # noqa: PLC0415

    Server(
        "contextmcp.gateway.asgi:application",
        host,
        port,
        interface=Interfaces.ASGI,
        workers=workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=BACKPRESSURE,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000),
        log_level=LogLevels.warning,
        workers_kill_timeout=SHUTDOWN_TIMEOUT_SECONDS,
    ).serve()


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
