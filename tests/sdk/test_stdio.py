"""`contextmcp-stdio` as a process around a real stdio server, with the product's web server online and away."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters

from entitlements.manager import EntitlementsManager
from tests.sdk.conftest import sessions_used
from tests.sdk.examples import code_block
from tests.support.gates import WebProcess, free_port

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
# Responds to each line and writes the lines to a file. `die`, `silence` and `orphan` end it in different ways.
SERVER = r"""
import json, os, subprocess, sys, time

log = open("received", "ab", buffering=0)
assert "CONTEXTMCP_API_KEY" not in os.environ
for line in sys.stdin.buffer:
    log.write(line)
    message = json.loads(line)
    if message.get("method") != "tools/call":
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        continue
    name, identifier = message["params"]["name"], message["id"]
    result = {"content": [], "_meta": {"units": 2}}
    answer = {"jsonrpc": "2.0", "id": identifier, "result": result}
    if name == "fail":
        result["isError"] = True
    elif name == "ask":
        result["resultType"] = "input_required"
    elif name == "break":
        answer = {"jsonrpc": "2.0", "id": identifier, "error": {"code": -32603, "message": "broken"}}
    elif name == "die":
        os._exit(7)
    elif name == "orphan":
        subprocess.Popen(["sleep", "60"])
        os._exit(3)
    elif name == "hang":
        continue
    print(json.dumps(answer), flush=True)
time.sleep(0.2)
print('{"jsonrpc": "2.0", "method": "goodbye"}', flush=True)
"""
PRICING = """
[servers.local]
default = "deny"

[servers.local.tools]
free_tool = "free"
limited = { feature = "sessions", rate = "context_queries" }
by_result = { feature = "sessions", amount = { result = "units", maximum = 10 } }
exclusive = { feature = "sso_integration" }
"*" = { feature = "sessions" }
"""


class Wrapped:
    """A client of the wrapper that reads and writes lines."""

    def __init__(self, folder, url, key):
        (folder / "server.py").write_text(SERVER)
        (folder / "pricing.toml").write_text(PRICING)
        self.environment = {**os.environ, "CONTEXTMCP_API_KEY": key, "CONTEXTMCP_URL": url, "CONTEXTMCP_STATE_DIR": str(folder / "state")}
        command = [sys.executable, "-m", "contextmcp_sdk.stdio", "--pricing", "pricing.toml", "--", sys.executable, "server.py"]
        self.log = (folder / "log").open("ab")
        self.process = subprocess.Popen(
            command, cwd=folder, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log
        )
        self.number = 0

    def send(self, line):
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self):
        return self.process.stdout.readline()

    def call(self, tool, **arguments):
        """Return the answer to a call, or its error."""
        self.start(tool, **arguments)
        answer = json.loads(self.read())
        assert answer["id"] == self.number
        return answer.get("result") or answer["error"]

    def start(self, tool, **arguments):
        self.number += 1
        params = {"name": tool, "arguments": arguments}
        self.send(json.dumps({"jsonrpc": "2.0", "id": self.number, "method": "tools/call", "params": params}).encode())

    def code(self, tool):
        """Return the code of the refusal of a call, or None if it is allowed."""
        return self.call(tool).get("structuredContent", {}).get("code")


@contextmanager
def wrapped(folder, url, key):
    running = Wrapped(folder, url, key)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        running.log.close()


@pytest.fixture
def offline_url():
    return f"http://127.0.0.1:{free_port()}"


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_only_what_succeeds_is_counted_and_messages_pass_unchanged(tmp_path, url, organization, key):
    with wrapped(tmp_path, url, key) as server:
        odd = b'{"jsonrpc":"2.0",  "id":"x", "method":"anything", "params":{"text":"\xc3\xa9 \\u00e9", "big":' + b"9" * 300 + b"}}"
        for line in (odd, b'{"jsonrpc":"2.0","method":"notifications/initialized"}', b'{"id":1,"result":{}}'):
            server.send(line)
            assert server.read() == line + b"\n"
        large = b'{"jsonrpc":"2.0","id":2,"method":"' + b"x" * 3_000_000 + b'"}'
        server.send(large)
        assert server.read() == large + b"\n"
        for tool in ("fail", "break", "ask", "free_tool", "one", "two"):
            assert server.code(tool) is None
        assert server.call("by_result") == {"content": [], "_meta": {"units": 2}}
        refused = server.call("exclusive")
        assert refused["isError"] and refused["structuredContent"]["code"] == "feature_not_available"
        assert refused["structuredContent"]["upgradeUrl"] in refused["content"][0]["text"]
        server.send(b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "tools/call", "params": {"name": "exclusive"}}')
        assert json.loads(server.read())["id"] == "\ud800"
        for bad, code in (
            (b"[{}, {}]", -32600),
            (b'{"id": 1, "id": 2}', -32700),
            (b'{"method": "tools/call", "params": {"name": "a"}}', -32600),
        ):
            server.send(bad)
            assert json.loads(server.read())["error"]["code"] == code
        until(lambda: sessions_used(organization) == 4)
        # The limit is 50: of 60 calls that are sent at once, 46 run.
        for _ in range(60):
            server.start("one")
        answers = [json.loads(server.read())["result"] for _ in range(60)]
        assert sum(1 for each in answers if not each.get("isError")) == 46
        assert {each["structuredContent"]["code"] for each in answers if each.get("isError")} == {"quota_exceeded"}
        EntitlementsManager(organization).grant("pro", reason="an upgrade")
        # The web server receives the change within a second.
        until(lambda: server.code("one") is None)
    received = (tmp_path / "received").read_bytes()
    assert odd in received and b"exclusive" not in received and key.encode() not in received


def test_the_end_of_either_side_ends_both(tmp_path, url, organization, key):
    with wrapped(tmp_path, url, key) as server:
        assert server.code("one") is None
        server.process.stdin.close()
        # The end of its input tells the server to stop, and its remaining output arrives.
        assert server.read() == b'{"jsonrpc": "2.0", "method": "goodbye"}\n'
        assert server.process.wait(30) == 0
    for tool, status in (("die", 7), ("orphan", 3)):
        with wrapped(tmp_path, url, key) as server:
            server.start(tool)
            assert server.process.wait(30) == status
    with wrapped(tmp_path, url, key) as server:
        server.start("hang")
        server.send(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}')
        assert b"cancelled" in server.read()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 128 + signal.SIGTERM
    until(lambda: sessions_used(organization) == 1)


def test_offline_the_plan_and_its_limits_hold_and_counts_arrive_later(tmp_path, url, organization, key, transactional_db):
    """One wrapper learns the plan, the next ones work without the service, and after SIGKILL the last one sends every count once."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    web = WebProcess(port=port).wait()
    try:
        with wrapped(tmp_path, address, key) as server:
            assert server.code("one") is None
            until(lambda: sessions_used(organization) == 1 and list((tmp_path / "state").glob("*/entitlements.jwt")))
            web.kill()
            codes = [server.code("limited") for _ in range(32)]
            assert codes == [None] * 30 + ["rate_limited"] * 2
            assert server.code("exclusive") == "feature_not_available"
            os.kill(server.process.pid, signal.SIGKILL)
        with wrapped(tmp_path, address, key) as server:
            # It knows the limit of the plan and the units that are not yet sent, but not the units that the service counted before.
            assert [server.code("one") for _ in range(21)] == [None] * 20 + ["quota_exceeded"]
            server.process.stdin.close()
            server.process.wait(60)
        assert sessions_used(organization) == 1
        web = WebProcess(port=port).wait()
        with wrapped(tmp_path, address, key) as server:
            until(lambda: sessions_used(organization) == 50)
            assert server.code("one") == "quota_exceeded"
    finally:
        web.kill()
    assert sessions_used(organization) == 50


def test_without_a_plan_nothing_that_costs_runs(tmp_path, offline_url, organization, key):
    with wrapped(tmp_path, offline_url, key) as server:
        assert server.code("free_tool") is None
        refused = server.call("one")
        assert refused["structuredContent"]["code"] == "temporarily_unavailable" and "internet" in refused["content"][0]["text"]


def test_the_documented_command_works_with_the_official_client(tmp_path, url, organization, key):
    settings = json.loads(code_block("stdio servers", "json"))["mcpServers"]["notes"]
    (tmp_path / "notes_server.py").write_text(
        "from mcp.server.mcpserver import MCPServer\nserver = MCPServer('notes')\n"
        "@server.tool()\ndef search_notes(query: str) -> str:\n    return query\n"
        "@server.tool()\ndef export_notes() -> str:\n    return ''\n"
        "server.run()\n"
    )
    arguments = [sys.executable if each == "python" else each for each in settings["args"]]
    environment = {**os.environ, **settings["env"], "CONTEXTMCP_URL": url, "CONTEXTMCP_API_KEY": key, "CONTEXTMCP_STATE_DIR": str(tmp_path)}
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "contextmcp_sdk.stdio", *arguments], env=environment, cwd=tmp_path
    )

    async def run():
        async with McpClient(parameters) as client:
            return await client.call_tool("search_notes", {"query": "milk"}), await client.call_tool("export_notes", {})

    found, denied = asyncio.run(run())
    assert (found.content[0].text, denied.structured_content["code"]) == ("milk", "feature_not_available")
    until(lambda: sessions_used(organization) == 1)


def test_what_is_missing_is_said(tmp_path):
    def start(*arguments, **environment):
        given = {**os.environ, "CONTEXTMCP_STATE_DIR": str(tmp_path), **environment}
        command = [sys.executable, "-m", "contextmcp_sdk.stdio", *arguments]
        done = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == "" and done.stderr.count("\n") == 1
        return done.returncode, done.stderr

    ready = {"CONTEXTMCP_API_KEY": "cmcp_sk_test_x", "CONTEXTMCP_URL": "http://127.0.0.1:9"}
    assert start("--price", "a=b", "--", "server")[0] == 2
    assert "after --" in start("--price", "a=b", **ready)[1]
    assert "--pricing" in start("--", "server", **ready)[1]
    assert "write TOOL=FEATURE" in start("--price", "a", "--", "server", **ready)[1]
    assert "service key" in start("--", "server", **{**ready, "CONTEXTMCP_API_KEY": "cmcp_svc_test_x"})[1]
    assert "missing.toml" in start("--pricing", "missing.toml", "--", "server", **ready)[1]
