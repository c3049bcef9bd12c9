"""`python -m contextmcp.gate`: the gate on a port of its own."""

import argparse

from granian import Granian
from granian.constants import Interfaces


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m contextmcp.gate", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3002)
    parser.add_argument("--workers", type=int, default=1)
    said = parser.parse_args()
    Granian(
        "contextmcp.gate.rsgi:application",
        address=said.host,
        port=said.port,
        workers=said.workers,
        interface=Interfaces.RSGI,
        backlog=2048,
        respawn_failed_workers=True,
    ).serve()


if __name__ == "__main__":
    main()
