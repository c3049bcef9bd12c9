"""`contextmcp-stdio [options] -- COMMAND...`: run a local MCP server and charge its calls to the plan of the key in CONTEXTMCP_API_KEY."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contextmcp_sdk.client import Client
from contextmcp_sdk.client_settings import KEY_VARIABLE, URL_VARIABLE
from contextmcp_sdk.exchange import Retries
from contextmcp_sdk.pricing import Pricing, PricingError, load_pricing

from .call_charges import CallCharges
from .wrapper import Wrapper

PRICING_VARIABLE, STATE_VARIABLE = "CONTEXTMCP_PRICING_FILE", "CONTEXTMCP_STATE_DIR"
# A user waits for the result of a tool. A service that does not respond within this time counts as unavailable.
TIMEOUT_SECONDS = 3.0
USAGE_ERROR, NOT_EXECUTABLE = 2, 127


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the wrapper and exit with the status of the server."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="contextmcp-stdio: %(levelname)s %(message)s")
    options = _parser().parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        _stop("Name the server's command after --, such as: contextmcp-stdio --pricing pricing.toml -- python server.py")
    key, url = os.environ.get(KEY_VARIABLE, ""), os.environ.get(URL_VARIABLE, "")
    if not key or not url:
        _stop(f"Set {KEY_VARIABLE} to your API key and {URL_VARIABLE} to the URL of the service.")
    if key.startswith("cmcp_svc_"):
        _stop(f"{KEY_VARIABLE} is a service key. Use the customer's own API key: a service key never leaves the vendor's servers.")
    try:
        pricing = _pricing(options)
    except PricingError as error:
        _stop(str(error))
    client = Client(key, url=url, timeout=TIMEOUT_SECONDS, retries=Retries(attempts=1))
    charges = CallCharges(client, pricing, _state_folder(options.state, key, url))
    try:
        wrapper = Wrapper(command, charges)
    except OSError as error:
        _stop(f"{command[0]}: {error.strerror}.", NOT_EXECUTABLE)
    signal.signal(signal.SIGTERM, lambda *_: wrapper.terminate())
    # Ctrl+C reaches the server too, which decides how to handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = wrapper.run()
    sys.stdout.flush()
    # Exit without waiting for the thread that reads standard input.
    os._exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="contextmcp-stdio", description=__doc__)
    parser.add_argument(
        "--pricing", default=os.environ.get(PRICING_VARIABLE), help=f"pricing file (default: the value of {PRICING_VARIABLE})"
    )
    parser.add_argument("--server", help="name of the server in the pricing file, if it has several")
    parser.add_argument(
        "--price", action="append", default=[], metavar="TOOL=FEATURE[:UNITS]", help="price of a tool or pattern, or TOOL=free"
    )
    parser.add_argument("--default", choices=["deny", "free"], default="deny", help="price of other tools, with --price")
    parser.add_argument(
        "--state",
        default=os.environ.get(STATE_VARIABLE),
        help=f"folder that stores usage counts and the limits of the plan (default: the value of {STATE_VARIABLE})",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the server's command, after --")
    return parser


def _pricing(options: argparse.Namespace) -> Pricing:
    if options.pricing and options.price:
        raise PricingError("Give either --pricing or --price.")
    if options.pricing:
        return load_pricing(options.pricing, options.server)
    if not options.price:
        raise PricingError("Give a pricing file with --pricing, or prices with --price.")
    tools: dict[str, Any] = {}
    for text in options.price:
        tool, separator, price = text.rpartition("=")
        feature, _, units = price.partition(":")
        if not separator or not tool or not feature or (units and not units.isdecimal()):
            raise PricingError(f"--price {text}: write TOOL=FEATURE, TOOL=FEATURE:UNITS or TOOL=free.")
        tools[tool] = "free" if price == "free" else {"feature": feature, "amount": int(units or 1)}
    return Pricing(tools, default=options.default)


def _state_folder(chosen: str | None, key: str, url: str) -> Path:
    """Return the folder of this key and service, so that one customer's counts are never sent with another's key."""
    if chosen:
        base = Path(chosen)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "contextmcp"
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "contextmcp"
    return base / hashlib.sha256(f"{url}\n{key}".encode()).hexdigest()[:16]


def _stop(sentence: str, status: int = USAGE_ERROR) -> Any:
    print(f"contextmcp-stdio: {sentence}", file=sys.stderr)  # noqa: T201 - the program's output
    sys.exit(status)


if __name__ == "__main__":
    main()
