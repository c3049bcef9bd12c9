"""`python -m contextmcp.gate`: the gate on a port of its own."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time

from contextmcp.startup import load_settings

from . import door

ENDING_SECONDS = 15.0
# A worker that ends at once does so again; starting it over and over would only burn the machine.
PAUSE_SECONDS = 1.0


def listen(host: str, port: int) -> socket.socket:
    """One socket for all workers: see `door`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    made.listen(2048)
    return made


class Parent:
    """Starts the workers, starts those anew that end by themselves, and ends them."""

    def __init__(self, listening: socket.socket, count: int) -> None:
        self._listening, self._count = listening, count
        self._alive, self._held = os.pipe()
        self._connections = door.counts(count)
        # By their place.
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._ending = False

    def start(self, place: int) -> None:
        shared = (self._listening.fileno(), self._alive, self._connections.fileno())
        command = [sys.executable, "-m", "contextmcp.gate.worker", *map(str, shared), str(place)]
        self._workers[place] = subprocess.Popen(command, pass_fds=shared)  # noqa: S603 - our own module

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        for place in range(self._count):
            self.start(place)
        while not self._ending:
            time.sleep(PAUSE_SECONDS)
            gone = [(place, worker) for place, worker in self._workers.items() if worker.poll() is not None]
            for place, worker in gone:
                sys.stderr.write(f"a worker of the gate ended with {worker.returncode}\n")
                if not self._ending:
                    self.start(place)
        self._await()

    def _end(self, number: int, _: object) -> None:
        self._ending = True
        for worker in self._workers.values():
            worker.terminate()

    def _await(self) -> None:
        until = time.monotonic() + ENDING_SECONDS
        for worker in self._workers.values():
            try:
                worker.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m contextmcp.gate", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3002)
    parser.add_argument("--workers", type=int, default=1)
    said = parser.parse_args()
    # A worker with wrong settings would end at once, and be started again for ever.
    load_settings()
    Parent(listen(said.host, said.port), said.workers).run()


if __name__ == "__main__":
    main()
