"""A real gateway process in front of a real, scripted upstream server."""

import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
from pytest_django import DjangoDbBlocker

from accounts.models import Organization
from contextmcp.devstack.services import REPOSITORY
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.support.gates import GateProcess, free_port, running

Json = dict[str, Any]
StartGateway = Callable[..., AbstractContextManager[GateProcess]]

PRICES = """
[servers.scripted]
url = "http://127.0.0.1:{port}/mcp"
default = "deny"

[servers.scripted.tools]
free_tool = "free"
{tools}
report_amount = {{ feature = "sessions", amount = {{ maximum = 10, result = "units" }} }}
by_argument = {{ feature = "sessions", amount = {{ argument = "pages", maximum = 10 }} }}
limited = {{ feature = "sessions", rate = "context_queries" }}
exclusive = {{ feature = "sso_integration" }}
charged_on_failure = {{ feature = "sessions", on_tool_error = "charge" }}
"""
TOOLS = (
    "succeed", "stream_progress", "stream_quickly", "fail", "fail_in_stream", "raise_error", "refuse_parameters", "require_input",
    "answer_another", "send_garbage", "send_no_http", "fail_with_500", "close_mid_stream", "end_without_answer", "send_too_much",
    "send_too_much_in_stream", "answer_later", "stream_forever", "hang",
    "die",
)  # fmt: skip


class GatewayProcess(GateProcess):
    name = "gateway"

    def command(self, workers: int) -> list[str]:
        return [sys.executable, "-m", "contextmcp.gateway", "--port", str(self.port), "--workers", str(workers)]


class Upstream:
    """A server of `tests.gateway` as a process, which can be restarted on its port. The arguments follow the port."""

    def __init__(self, module: str = "scripted_server", *arguments: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.url = f"http://localhost:{self.port}/mcp"
        self.command = [sys.executable, "-m", f"tests.gateway.{module}", str(self.port), *arguments]
        self.start()

    def __enter__(self) -> "Upstream":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=REPOSITORY)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                # Between its end and this start, a connection of another process may have used the port.
                time.sleep(0.2)
                self.process = subprocess.Popen(self.command, cwd=REPOSITORY)
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"{self.command} did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


class McpClient:
    """A client that sends single JSON-RPC messages with one key."""

    def __init__(self, url: str, key: str, version: str = "2026-07-28") -> None:
        self.url, self.key, self.version = url, key, version
        self.ids = itertools.count(1)
        self.http = httpx.Client(timeout=30)

    def headers(self, method: str = "", name: str | None = None) -> dict[str, str]:
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": self.version}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        if method and self.version >= "2026-07-28":
            headers["Mcp-Method"] = method
            if name is not None:
                headers["Mcp-Name"] = name
        return headers

    def message(self, method: str, params: Json | None = None) -> Json:
        return {"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params or {}}

    def post(self, method: str, params: Json | None = None, **headers: str) -> httpx.Response:
        message = self.message(method, params)
        return self.http.post(self.url, json=message, headers=self.headers(method, message["params"].get("name")) | headers)

    def call(self, tool: str, arguments: Json | None = None, **params: object) -> Json:
        """Return the JSON-RPC response of a tool call."""
        answer = self.post("tools/call", {"name": tool, "arguments": arguments or {}, **params})
        assert answer.status_code < 500, answer.text
        return decode(answer)

    def upstream_state(self) -> Json:
        state: Json = self.post("test/state").json()["result"]
        return state


def decode(answer: httpx.Response) -> Json:
    """Return the last message of an answer, which is a document or a stream of events."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        data: Json = json.loads([line for line in answer.text.splitlines() if line.startswith("data: ")][-1][6:])
        return data
    document: Json = answer.json()
    return document


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def prices(upstream: Upstream) -> str:
    return PRICES.format(port=upstream.port, tools="\n".join(f'{tool} = {{ feature = "sessions" }}' for tool in TOOLS))


@pytest.fixture(scope="module")
def start_gateway(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, prices: str, tmp_path_factory: pytest.TempPathFactory
) -> StartGateway:
    """Return a function that runs a gateway with the given prices and environment, as a context manager."""

    @contextmanager
    def start(prices: str = prices, **options: Any) -> Iterator[GateProcess]:
        path = tmp_path_factory.mktemp("gateway") / "pricing.toml"
        path.write_text(prices)
        options = {"MCP_PRICING_FILE": str(path), "MCP_SERVER_URL": "http://localhost:3003/mcp"} | options
        with django_db_blocker.unblock(), running(GatewayProcess, **options) as process:
            yield process

    return start


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway) -> Iterator[GateProcess]:
    with start_gateway() as process:
        yield process


@pytest.fixture
def organization(transactional_db: None) -> Organization:
    organization: Organization = OrganizationFactory(owner=UserFactory())
    return organization


@pytest.fixture
def key(organization: Organization) -> str:
    key: str = Person(organization.memberships.get()).key
    return key


@pytest.fixture
def client(gateway: GateProcess, key: str) -> McpClient:
    return McpClient(f"http://127.0.0.1:{gateway.port}/mcp", key)
