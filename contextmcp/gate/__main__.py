"""`python -m contextmcp.gate`: the gate on a port of its own."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time

ENDING_SECONDS = 15.0
# A worker that ends at once does so again; starting it over and over would only burn the machine.
PAUSE_SECONDS = 1.0


def listen(host: str, port: int) -> socket.socket:
    """One socket for all workers: whoever is free takes the next connection."""
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
        self._workers: list[subprocess.Popen[bytes]] = []
        self._ending = False

    def start(self) -> None:
        shared = (self._listening.fileno(), self._alive)
        command = [sys.executable, "-m", "contextmcp.gate.worker", *map(str, shared)]
        self._workers.append(subprocess.Popen(command, pass_fds=shared))  # noqa: S603 - our own module

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        for _ in range(self._count):
            self.start()
        while not self._ending:
            time.sleep(PAUSE_SECONDS)
            gone = [worker for worker in self._workers if worker.poll() is not None]
            for worker in gone:
                sys.stderr.write(f"a worker of the gate ended with {worker.returncode}\n")
                self._workers.remove(worker)
                if not self._ending:
                    self.start()
        self._await()

    def _end(self, number: int, _: object) -> None:
        self._ending = True
        for worker in self._workers:
            worker.terminate()

    def _await(self) -> None:
        until = time.monotonic() + ENDING_SECONDS
        for worker in self._workers:
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
    Parent(listen(said.host, said.port), said.workers).run()


if __name__ == "__main__":
    main()
