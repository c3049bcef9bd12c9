"""Readiness and metrics of a gateway with two processes."""

import signal
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.gateway.conftest import McpClient, StartGateway, Upstream
from tests.support.gates import GateProcess
from tests.support.workers import until

TOKEN = {"Authorization": "Bearer metrics-token"}


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    spool = str(tmp_path_factory.mktemp("spool"))
    with start_gateway(workers=2, METRICS_TOKEN="metrics-token", USAGE_SPOOL_DIR=spool) as process:
        yield process


def get(gateway: GateProcess, path: str, **headers: str) -> httpx.Response:
    # A new connection each time, so that either process may answer.
    return httpx.get(f"http://127.0.0.1:{gateway.port}{path}", headers=headers, timeout=30)


def test_readiness_names_each_part_and_the_server(gateway: GateProcess, upstream: Upstream) -> None:
    assert get(gateway, "/livez").json() == {"status": "ok"}
    answer = get(gateway, "/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "parts": {"database": "ok", "migrations": "ok", "cache": "ok", "server scripted": "ok"},
    }
    upstream.stop()
    try:
        deadline = time.monotonic() + 30
        while (report := get(gateway, "/readyz")).json()["status"] == "ok" and time.monotonic() < deadline:
            time.sleep(0.1)
        # Without its server the gateway still responds, with an error for each call.
        assert report.status_code == 200
        assert report.json()["status"] == "degraded"
        assert report.json()["parts"]["server scripted"].startswith("unreachable")
    finally:
        upstream.start()


def test_each_process_returns_the_metrics_of_all(gateway: GateProcess, client: McpClient) -> None:
    assert get(gateway, "/metrics").status_code == 404
    assert "result" in client.call("succeed")
    client.call("fail")
    deadline = time.monotonic() + 30
    expected = {'mcp_settlements_total{outcome="settled"} 1.0', 'mcp_settlements_total{outcome="released"} 1.0'}
    while not expected <= (lines := set(get(gateway, "/metrics", **TOKEN).text.splitlines())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert expected <= lines
    assert "mcp_open_streams 0.0" in lines
    # A metric that is read from the disk is the same in all processes, and occurs once.
    assert {get(gateway, "/metrics", **TOKEN).text.count("# TYPE usage_spool_files ") for _ in range(4)} == {1}


def test_new_workers_take_over_without_a_failed_call(gateway: GateProcess, client: McpClient) -> None:
    before = worker_pids(gateway)
    failures: list[str] = []
    stopping = threading.Event()

    def call() -> httpx.Response:
        return httpx.post(client.url, json=client.message("ping"), headers=client.headers("ping"), timeout=30)

    def go_on() -> None:
        while not stopping.is_set():
            try:
                answer = call()
            except httpx.HTTPError as error:
                failures.append(repr(error))
            else:
                failures.extend([] if answer.status_code == 200 else [answer.text])

    callers = [threading.Thread(target=go_on, daemon=True) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: len(pids := worker_pids(gateway)) == 2 and pids.isdisjoint(before), "new workers serve alone", 60)
    finally:
        stopping.set()
    for caller in callers:
        caller.join(60)
    assert failures == []


def worker_pids(gateway: GateProcess) -> set[int]:
    return {child.pid for child in psutil.Process(gateway.process.pid).children()}
