"""The adapters for MCP servers: the documented examples as processes, called by the official client and by fastmcp's over HTTP."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import fastmcp
import httpx
import httpx2
import pytest
from contextmcp_sdk import AsyncClient, Client, Customer, EventBuffer, Pricing, Retries
from contextmcp_sdk.fastmcp import PlanMiddleware
from contextmcp_sdk.mcp import PlanExtension
from fastmcp import FastMCP
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer

from accounts.manager import AuthManager
from accounts.models import ApiKey
from contextmcp.common.errors import DomainError
from contextmcp.gateway.results import denial_body
from tests.factories.accounts import Person, key_of
from tests.factories.service_keys import service_key
from tests.sdk.conftest import sessions_used
from tests.sdk.examples import example_server
from usage.authorize.requests import Request
from usage.models import UsageCounter, UsageEvent, UsageToolSummary
from usage.operations import authorization
from usage.operations.caller import UsageCaller
from usage.operations.sync_driver import drive
from usage.types import Item

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
SECTIONS = ["FastMCP without a proxy", "The official SDK"]


@pytest.fixture(scope="module", params=SECTIONS)
def server(request, tmp_path_factory, web, django_db_blocker):
    # The row of the key belongs to each test (`vendor_key`), its text is the same for all.
    with django_db_blocker.unblock():
        key = service_key()
    with example_server(request.param, tmp_path_factory.mktemp("example"), f"http://127.0.0.1:{web.port}", key) as address:
        yield address


@pytest.fixture(autouse=True)
def _vendor_key(vendor_key):
    pass


@asynccontextmanager
async def official_client(address, key, mode="auto"):
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60) as http,
        McpClient(streamable_http_client(address, http_client=http), mode=mode) as client,
    ):
        yield client


def gateway_denial(organization, feature, amount=1):
    """Return the result that the gateway gives for the refusal of this call."""
    caller = UsageCaller.of_caller(Person(organization.memberships.get()).caller)
    with pytest.raises(DomainError) as refusal:
        drive(authorization.authorize(caller, Request([Item(feature, amount)])))
    return at_any_time(json.loads(denial_body(refusal.value, "tools/call", 1, None))["result"])


def denial(result):
    """Return the parts of a result that the gateway sends."""
    fields = result.model_dump(by_alias=True, exclude_none=True, mode="json")
    return at_any_time({name: fields[name] for name in ("content", "structuredContent", "isError")})


def at_any_time(result):
    """Leave out the seconds until the quota resets, which go by between two refusals."""
    result["structuredContent"].pop("retryAfter", None)
    return result


def test_calls_are_charged_and_refused_as_by_the_gateway(server, organization, key):
    async def run():
        async with official_client(server, key) as client:
            tools = (await client.list_tools()).tools
            first = await client.call_tool("search_notes", {"query": "milk"})
            failed = await client.call_tool("search_notes", {"query": ""})
            missing = await client.call_tool("search_notes", {})
            denied = await client.call_tool("export_notes", {})
            return tools, first, failed, missing, denied

    tools, first, failed, missing, denied = asyncio.run(run())
    # The plan does not include the feature of the other tool. The schema admits refusals.
    assert [tool.name for tool in tools] == ["search_notes"]
    assert {"code"} <= set(tools[0].output_schema["anyOf"][1]["properties"])
    assert (first.is_error, first.structured_content) == (False, {"result": ["buy milk"]})
    assert failed.is_error and missing.is_error and "code" not in (failed.structured_content or {})
    # Only the call that succeeded is charged.
    assert sessions_used(organization) == 1
    assert list(UsageToolSummary.objects.filter(organization=organization, grain="d").values_list("tool", "events")) == [
        ("search_notes", 1)
    ]
    assert denial(denied) == gateway_denial(organization, "sso_integration")

    UsageCounter.objects.filter(organization=organization).update(used=50)

    async def run_as_before(mode):
        async with official_client(server, key, mode) as client:
            return await client.call_tool("search_notes", {"query": "milk"})

    for mode in ("legacy", "auto"):
        assert denial(asyncio.run(run_as_before(mode))) == gateway_denial(organization, "sessions")

    async def run_fastmcp():
        async with fastmcp.Client(server, auth=key) as client:
            return await client.call_tool("search_notes", {"query": "milk"}, raise_on_error=False)

    refused = asyncio.run(run_fastmcp())
    assert refused.is_error and refused.structured_content["code"] == "quota_exceeded"


def test_an_idempotency_key_is_charged_once_and_a_failed_call_can_be_repeated(server, organization, key):
    meta = {"com.contextmcp/idempotencyKey": "one"}

    async def run():
        async with official_client(server, key) as client:
            for query in ("milk", "milk", "", ""):
                await client.call_tool("search_notes", {"query": query}, meta=meta)
            await asyncio.gather(*(client.call_tool("search_notes", {"query": "milk"}) for _ in range(60)))

    asyncio.run(run())
    assert sessions_used(organization) == 50
    assert UsageEvent.objects.filter(organization=organization, feature="sessions").count() == 50


def test_a_session_goes_on_with_another_key_of_its_organization(server, organization, key):
    """The customer is that of each request, and not that of the request that opened the session."""
    actor = Person(organization.memberships.get()).caller
    row = ApiKey.objects.get(organization=organization)
    new = key_of(organization.memberships.get(), sorted(actor.scopes))

    async def run():
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60) as http,
            McpClient(streamable_http_client(server, http_client=http), mode="legacy") as client,
        ):
            await client.call_tool("search_notes", {"query": "milk"})
            await asyncio.to_thread(AuthManager(organization).revoke_key, actor, row.pk)
            http.headers["Authorization"] = f"Bearer {new}"
            return await client.call_tool("search_notes", {"query": "milk"})

    result = asyncio.run(run())
    assert not result.is_error, result
    assert sessions_used(organization) == 2


def test_without_an_accepted_key_there_is_no_service(server, organization, key):
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}

    def status(token):
        given = {"Authorization": f"Bearer {token}".encode("latin-1")} if token else {}
        return httpx.post(server, json=message, headers=headers | given, timeout=30).status_code

    other = key[:-1] + ("a" if key[-1] == "A" else "A")
    assert [status(token) for token in ("", "nonsense", other, "\xff", "x" * 5_000)] == [401] * 5
    assert status(key) != 401


def official_server(client, customer, tools):
    server = MCPServer("local", extensions=[PlanExtension(client, Pricing({"*": {"feature": "sessions"}}), customer=customer)])
    for tool in tools:
        server.tool()(tool)
    return McpClient(server)


def fastmcp_server(client, customer, tools):
    server = FastMCP("local", middleware=[PlanMiddleware(client, Pricing({"*": {"feature": "sessions"}}), customer=customer)])
    for tool in tools:
        server.tool(tool)
    return fastmcp.Client(server)


def plain() -> str:
    return "done"


@pytest.mark.parametrize("make", [official_server, fastmcp_server])
def test_the_failure_mode_decides_while_the_service_is_away(make, organization, vendor, vendor_key, tmp_path):
    customer = Customer(organization_id=str(organization.pk))
    settings = {"url": "http://127.0.0.1:9", "retries": Retries(attempts=1)}

    async def call(client):
        caller = make(client, customer, [plain])
        async with caller:
            options = {"raise_on_error": False} if make is fastmcp_server else {}
            return await caller.call_tool("plain", {}, **options)

    refused = asyncio.run(call(AsyncClient(vendor_key, **settings)))
    assert refused.is_error and refused.structured_content == {"code": "temporarily_unavailable", "retryAfter": 1}
    with Client(vendor_key, **settings) as away, EventBuffer(tmp_path, away) as buffer:
        allowed = asyncio.run(call(AsyncClient(vendor_key, failure_mode="fail_open", event_buffer=buffer, **settings)))
    assert not allowed.is_error and sessions_used(organization) == 0
    with EventBuffer(tmp_path, vendor) as buffer:
        buffer.flush()
    assert sessions_used(organization) == 1


@pytest.mark.parametrize("make", [official_server, fastmcp_server])
def test_a_call_that_the_client_cancels_is_released(make, organization, url, vendor_key):
    customer = Customer(organization_id=str(organization.pk))

    async def run():
        entered, ended = asyncio.Event(), asyncio.Event()

        async def hang() -> str:
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return "never"

        async with AsyncClient(vendor_key, url=url) as client:
            caller = make(client, customer, [hang, plain])
            async with caller:
                call = asyncio.create_task(caller.call_tool("hang", {}))
                await entered.wait()
                held = await asyncio.to_thread(sessions_used, organization)
                call.cancel()
                await ended.wait()
                await caller.call_tool("plain", {})
                return held

    assert asyncio.run(run()) == 1
    deadline = time.monotonic() + 30
    while sessions_used(organization) != 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sessions_used(organization) == 1
