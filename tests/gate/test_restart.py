"""Restarting or reloading the gate drops no request of a client that behaves like a proxy."""

import os
import signal
import socket
import threading
import time

import psutil
import pytest

from tests.support.gates import gate_process
from tests.support.workers import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


class Proxy(threading.Thread):
    """Sends requests on a persistent connection. Only a refused connection may be retried elsewhere; any other error is a failure."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.stopping = port, threading.Event()
        self.answered = self.refused = self.closed = 0
        self.failures = []

    def run(self):
        stored = None
        while not self.stopping.is_set():
            try:
                if stored is None:
                    stored = socket.create_connection(("127.0.0.1", self.port), 10)
            except ConnectionRefusedError:
                self.refused += 1
                time.sleep(0.02)
                continue
            try:
                stored.sendall(REQUEST)
                output = b""
                while not output.endswith(b'{"status": "ok"}'):
                    if not (actual := stored.recv(4096)):
                        raise ConnectionError("closed without an answer")
                    output += actual
            except OSError as error:
                self.failures.append(repr(error))
                stored = None
                continue
            self.answered += 1
            if b"connection: close" in output:
                self.closed += 1
                stored.close()
                stored = None
            time.sleep(0.005)


@pytest.fixture
def gate(transactional_db):
    with gate_process(workers=2) as created:
        until(lambda: len(psutil.Process(created.process.pid).children()) == 2, "both workers run", 60)
        yield created


@pytest.fixture
def proxies(gate):
    created = [Proxy(gate.port) for _ in range(8)]
    for each in created:
        each.start()
    until(lambda: all(each.answered > 5 for each in created), "all are served", 60)
    yield created
    for each in created:
        each.stopping.set()
        each.join(10)


def test_reload_replaces_every_worker_and_refuses_no_request(gate, proxies):
    former = {each.pid for each in psutil.Process(gate.process.pid).children()}
    os.kill(gate.process.pid, signal.SIGHUP)

    def replaced():
        present = {each.pid for each in psutil.Process(gate.process.pid).children()}
        return len(present) == 2 and not present & former

    until(replaced, "all workers are new", 120)
    counts = [each.answered for each in proxies]
    until(lambda: all(each.answered > count + 5 for each, count in zip(proxies, counts, strict=True)), "all are served by the new ones", 60)
    assert [each.failures for each in proxies] == [[]] * len(proxies)
    assert sum(each.refused for each in proxies) == 0
    assert sum(each.closed for each in proxies) >= 1


def test_a_shutdown_answers_open_requests_first(gate, proxies):
    gate.process.send_signal(signal.SIGTERM)
    assert gate.process.wait(30) == 0
    until(lambda: all(each.refused for each in proxies), "connections are refused", 30)
    assert [each.failures for each in proxies] == [[]] * len(proxies)
