"""Official clients work with the gateway: they connect, call, read refusals, get progress, and go on after a restart."""

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from contextmcp.devstack.services import REPOSITORY
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.usage import UsageCounterFactory
from tests.gateway.conftest import Upstream
from tests.gateway.test_charging import used
from tests.support.gates import free_port
from tests.support.node import require_node

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
CLIENTS = Path(__file__).parent / "clients"
PRICES = """
[servers.demo]
url = "{url}"
default = "free"

[servers.demo.tools]
test_simple_text = {{ feature = "sessions" }}
test_tool_with_progress = {{ feature = "sessions" }}
test_image_content = {{ feature = "sso_integration" }}
"""
PYTHON = ("python legacy", "python auto", "fastmcp legacy", "fastmcp auto")
NODE = ("sdk", "client legacy", "client auto")


@pytest.fixture(scope="module")
def server():
    with Upstream("conformance_server") as server:
        yield server


@contextmanager
def client(name, url, key):
    """Run a client, and kill it if it does not end by itself."""
    package, _, mode = name.partition(" ")
    if name in NODE:
        node = require_node()
        command = node.command(str(CLIENTS / "typescript_client.mjs"), url, key, mode, f"@modelcontextprotocol/{package}")
        folder = node.folder
    else:
        command, folder = [sys.executable, str(CLIENTS / f"{package}_client.py"), url, key, mode], REPOSITORY
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def answer(process):
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize("names", [PYTHON, NODE], ids=["python", "typescript"])
def test_clients_call_are_refused_and_survive_a_restart(names, server, start_gateway, transactional_db):
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    processes, organizations = {}, {}
    with ExitStack() as stack:
        with start_gateway(PRICES.format(url=server.url), port=port):
            for name in names:
                organizations[name] = organization = OrganizationFactory(owner=UserFactory())
                # One unit is left.
                UsageCounterFactory(organization=organization, feature="sessions", used=49)
                processes[name] = stack.enter_context(client(name, url, Person(organization.memberships.get()).key))
            seen = {name: answer(process) for name, process in processes.items()}
            with client(names[0], url, "") as stranger:
                assert "error" in answer(stranger)
        with start_gateway(PRICES.format(url=server.url), port=port):
            for name, process in processes.items():
                process.stdin.write("go on\n")
                process.stdin.flush()
                assert answer(process) == {"again": "eu"}, name
    for name in names:
        assert "error" not in seen[name], name
        assert "test_simple_text" in seen[name]["tools"], name
        assert "test_image_content" not in seen[name]["tools"], name
        assert (seen[name]["text"], seen[name]["progress"]) == ("done", [0, 50, 100]), name
        refusal = seen[name]["refusal"]
        assert (refusal["isError"], refusal["code"], refusal["limit"]) == (True, "quota_exceeded", 50), name
        assert refusal["upgradeUrl"] in refusal["text"], name
        assert used(organizations[name]) == 50, name
