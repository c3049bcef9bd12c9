"""`make demo ONCE=1` as users call it, in a temporary home."""

import json
import os
import subprocess
import sys

import psutil
import pytest

from contextmcp.devstack import databases, services
from contextmcp.devstack.runner import REPOSITORY, listens
from tests.devstack.conftest import belonging_to
from tests.support.gates import free_port
from tests.support.stacks import PASSED_ON
from tests.support.workers import until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
REPORTED = {
    "url",
    "gateUrl",
    "mcpUrl",
    "oauthIssuer",
    "adminUrl",
    "mailUrl",
    "stripeUrl",
    "apiKey",
    "webhookSecret",
    "stripeSecretKey",
    "ownerEmail",
    "ownerPassword",
    "adminEmail",
    "adminPassword",
    "organizationId",
    "freeApiKey",
}


@pytest.fixture(scope="module")
def demo():
    """`demo(NAME="value")` runs the tour again in the same home. The servers stay up in between, because only the first start is slow."""
    home = services.default_home() / f"demo-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    environment = {each: os.environ[each] for each in PASSED_ON if each in os.environ} | {"CONTEXTMCP_HOME": str(home)}
    environment[databases.DUMPS] = os.environ[databases.DUMPS]

    def walk(**params):
        command = [sys.executable, "-m", "contextmcp.devstack", "demo", "--once"]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment | params, capture_output=True, text=True, timeout=280, check=False)
        return done, home

    with services.running(home):
        yield walk
    assert belonging_to(home) == []


def test_every_step_passes_and_the_urls_are_printed(demo):
    done, home = demo()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "✗" not in done.stdout
    assert done.stdout.count("✓") >= 31
    for step in (
        "a tool that raises is not charged",
        "50 sessions pass on Free, as tool calls",
        "the next one is refused, in words that a model can act on",
        "the tool call that was refused passes",
        "a client without a key signs its user in, and calls a tool",
        "the user disconnects it: its token is refused",
    ):
        assert f"✓ {step}" in done.stdout
    result = json.loads((home / "demo.json").read_text())
    assert {name for name, value in result.items() if value} >= REPORTED
    assert result["apiKey"] != result["freeApiKey"]
    assert (home / "demo.json").stat().st_mode & 0o077 == 0
    assert product_of(home) == []


def test_the_core_steps_pass_with_another_catalog(demo):
    """Four plans in euros, billed by the year, without trials, seats and gauges."""
    done, home = demo(CATALOG_FILE="examples/catalogs/translation_office.toml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    for step in (
        "3 documents pass on Visitor",
        "the next one is refused",
        "the organization is on Freelancer, active",
        "the call that was refused passes",
        "upgrade to Bureau at once, prorated",
    ):
        assert f"✓ {step}" in done.stdout
    assert product_of(home) == []


@pytest.fixture
def other_server(tmp_path):
    """A vendor's MCP server, for which there is no pricing file."""
    port = free_port()
    command = [sys.executable, "examples/mcp_server/server.py", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
    until(lambda: listens(port), "the server listens", 60)
    yield f"http://127.0.0.1:{port}/mcp"
    process.kill()
    process.wait(10)


def test_a_failed_step_fails_the_demo(demo, other_server):
    """Without Stripe nothing can be bought, which later steps depend on. The tour reports that and ends.

    The gateway is in front of a server of the user's, all of whose tools are free.
    """
    done, home = demo(STRIPE="off", TOUR_TIMEOUT_SECONDS="20", MCP_UPSTREAM=other_server)
    assert done.returncode == 1, done.stderr
    assert "✓ connect the official MCP client and list the tools" in done.stdout, done.stdout
    assert "import_notes, share_note" in done.stdout.split("✓ connect the official MCP client and list the tools")[1]
    assert "✓ 50 sessions pass on Free" in done.stdout
    assert "as tool calls" not in done.stdout
    before, after = done.stdout.split("Buying ")
    assert "✗" not in before
    assert "✗ the documented curl command starts a Checkout" in after and "billing_not_configured" in after
    assert "failed: the documented curl command starts a Checkout" in after
    assert "Months go by" not in after
    assert product_of(home) == []


def product_of(home):
    """Return the demo's processes that are still running, except the servers, which the fixture keeps."""
    names = (
        "granian",
        "procrastinate",
        "stripe_simulator",
        "contextmcp.devstack.mail",
        "contextmcp.gate",
        "mcp_server/server.py",
        "devstack tour",
    )
    matches = []
    for each in belonging_to(home):
        line = " ".join(each.cmdline())
        matches += [line] if any(name in line for name in names) else []
    world = json.loads((home / "world.json").read_text())
    ports = {world[name] for name in world if name.endswith("port")}
    matches += [str(each) for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN and each.laddr.port in ports]
    return matches
