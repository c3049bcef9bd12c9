"""Serve the gate on its own port: `python -m contextmcp.gate`."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory

from django.conf import settings
from prometheus_client import multiprocess

from contextmcp.startup import load_settings, refuse_transaction_pooling

from . import accept_balancer

# A worker serves open connections for 2 s (http_server.DRAIN_SECONDS) and then finishes its requests within 10 s.
SHUTDOWN_TIMEOUT_SECONDS = 15.0
# A worker that ends right after its start will probably do so again. The delay avoids a tight loop.
RESTART_DELAY_SECONDS = 1.0
# A worker that is terminated during its start ends immediately, unless it has accepted connections, which it serves first.
STARTUP_TERMINATION_SECONDS = 1.0
# If the new workers do not accept connections within this time, they are terminated, and the old ones continue.
RELOAD_TIMEOUT_SECONDS = 60.0


def listen(host: str, port: int) -> socket.socket:
    """Return the listening socket that all workers share."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(2048)
    return listening


class Supervisor:
    """Starts the workers, restarts those that end by themselves, replaces all of them on SIGHUP, and stops them."""

    def __init__(
        self,
        listening: socket.socket,
        count: int,
        module: str = "contextmcp.gate.worker",
        shutdown_seconds: float = SHUTDOWN_TIMEOUT_SECONDS,
    ) -> None:
        """`module` is what a worker runs. Workers that have not ended after `shutdown_seconds` are killed."""
        self._listening, self._count = listening, count
        self._module, self._shutdown_seconds = module, shutdown_seconds
        self._alive, self._held = os.pipe()
        # Twice the number of workers, because old and new workers accept connections while they are replaced.
        self._connections = accept_balancer.shared_connection_counts(2 * count)
        self._counts = accept_balancer.map_connection_counts(self._connections.fileno())
        self._generation = 0
        # Workers by their place, which is the index in the shared counts.
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._ending = self._reloading = False

    def start(self, place: int) -> None:
        self._counts[place] = accept_balancer.NOT_ACCEPTING
        shared = (self._listening.fileno(), self._alive, self._connections.fileno())
        command = [sys.executable, "-m", self._module, *map(str, shared), str(place)]
        self._workers[place] = subprocess.Popen(command, pass_fds=shared)  # noqa: S603 - our own module

    def _start_generation(self, generation: int) -> dict[int, subprocess.Popen[bytes]]:
        places = range(generation * self._count, (generation + 1) * self._count)
        for place in places:
            self.start(place)
        return {place: self._workers[place] for place in places}

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._ask_for_reload)
        self._start_generation(0)
        while not self._ending:
            time.sleep(RESTART_DELAY_SECONDS)
            if self._reloading:
                self._reload()
            for place, worker in list(self._workers.items()):
                if worker.poll() is not None and not self._ending:
                    sys.stderr.write(f"{self._module} ended with {worker.returncode}\n")
                    _forget_metrics(worker.pid)
                    self.start(place)
        self._await(self._workers)

    def _reload(self) -> None:
        """Start workers with the current code and environment file. When all of them accept connections, end the old ones."""
        self._reloading = False
        former = dict(self._workers)
        new = self._start_generation(1 - self._generation)
        until = time.monotonic() + RELOAD_TIMEOUT_SECONDS
        while any(self._counts[place] == accept_balancer.NOT_ACCEPTING for place in new):
            if self._ending:
                return
            if time.monotonic() > until or any(worker.poll() is not None for worker in new.values()):
                sys.stderr.write(f"the new processes of {self._module} did not start; the old ones continue\n")
                _terminate(new)
                self._await(new)
                self._workers = former
                return
            time.sleep(0.05)
        self._generation = 1 - self._generation
        _terminate(former)
        self._await(former)

    def _ask_for_reload(self, number: int, _: object) -> None:
        self._reloading = True

    def _end(self, number: int, _: object) -> None:
        if not self._ending:
            self._ending = True
            # As long as a process has the socket open, the kernel completes connections that no worker would accept.
            self._listening.close()
            self._terminate_starting()
            _terminate(self._workers)

    def _terminate_starting(self) -> None:
        """End the workers that do not accept connections yet, while the others still accept.

        If such a worker ended last, the kernel would reset the connections that wait in the shared socket.
        """
        starting = [worker for place, worker in self._workers.items() if self._counts[place] == accept_balancer.NOT_ACCEPTING]
        for worker in starting:
            worker.terminate()
        for worker in starting:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(STARTUP_TERMINATION_SECONDS)

    def _await(self, workers: dict[int, subprocess.Popen[bytes]]) -> None:
        until = time.monotonic() + self._shutdown_seconds
        for place, worker in list(workers.items()):
            try:
                worker.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            _forget_metrics(worker.pid)
            self._workers.pop(place, None)


def _terminate(workers: dict[int, subprocess.Popen[bytes]]) -> None:
    for worker in workers.values():
        worker.terminate()


def _forget_metrics(pid: int) -> None:
    """Remove the gauges of an ended process from the metrics. Its counters are kept."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library has no annotation here


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m contextmcp.gate", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3002)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    # Otherwise workers with invalid settings would end and be restarted forever.
    load_settings("gate")
    refuse_transaction_pooling()
    with ExitStack() as stack:
        if settings.METRICS_TOKEN and not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            # Each worker returns the metrics of all workers.
            with suppress(OSError):
                os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(TemporaryDirectory(prefix="contextmcp-gate-"))
        Supervisor(listen(arguments.host, arguments.port), arguments.workers).run()


if __name__ == "__main__":
    main()
