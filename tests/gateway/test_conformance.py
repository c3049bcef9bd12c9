"""The official conformance suite gives the same verdicts through the gateway as directly."""

import json
import subprocess

import pytest

from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.usage import subscribe
from tests.gateway.conftest import Upstream
from tests.support.gates import free_port
from tests.support.node import require_node
from usage.models import UsageHold

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]
# Everything that can be priced is priced, so that the suite passes through reservations and settlements.
PRICES = """
[servers.conformance]
url = "{url}"
default = {{ feature = "sessions" }}

[servers.conformance.prompts]
"*" = {{ feature = "sessions" }}

[servers.conformance.resources]
"*" = {{ feature = "sessions" }}
"""
# Verdicts that the SDK's own server is known to earn. The suite must have found as much to judge.
SUCCESSES = {"2025-11-25": 81, "2026-07-28": 160}


def verdicts(node, url, requirements, folder):
    """Return the suite's verdicts on the server at `url`: the status of each check, by scenario and check."""
    command = [*node.conformance, "server", "--url", url, "--requirements", requirements, "--output-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    found = {}
    for path in sorted(folder.glob("*/checks.json")):
        # The folder is named for the scenario and the time, of 24 characters.
        scenario = path.parent.name[:-25]
        # The others log what was sent, whose order may differ.
        checks = [check for check in json.loads(path.read_text()) if check["status"] != "INFO"]
        for number, check in enumerate(checks):
            found[scenario, number, check["id"]] = check["status"]
    assert found, done.stdout + done.stderr
    return found, done.returncode


def test_the_suite_gives_the_same_verdicts_through_the_gateway(start_gateway, transactional_db, tmp_path):
    node = require_node()
    organization = OrganizationFactory(owner=UserFactory())
    subscribe(organization, "enterprise")
    authorization = f"Authorization: Bearer {Person(organization.memberships.get()).key}"
    port = free_port()
    with (
        Upstream("conformance_server") as server,
        start_gateway(PRICES.format(url=server.url), MCP_SERVER_URL=f"http://localhost:{port}/mcp") as gateway,
        Upstream("forwarder", f"http://127.0.0.1:{gateway.port}/mcp", authorization, port=port) as forwarder,
    ):
        for requirements, successes in SUCCESSES.items():
            direct, direct_code = verdicts(node, server.url, requirements, tmp_path / f"direct {requirements}")
            assert (direct_code, list(direct.values()).count("SUCCESS") >= successes) == (0, True)
            through, code = verdicts(node, forwarder.url, requirements, tmp_path / requirements)
            both = {check: (direct.get(check), through.get(check)) for check in direct | through}
            assert {check: verdict for check, verdict in both.items() if len(set(verdict)) > 1} == {}
            assert code == 0
    assert UsageHold.objects.filter(organization=organization, state="settled").exists()
