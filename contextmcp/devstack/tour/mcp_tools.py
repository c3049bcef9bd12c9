"""Chapter about the MCP server behind the plans, used through the official client."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from html import unescape
from typing import Any, TypeVar

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from .context import Journey
from .report import TIMEOUT_SECONDS, Report, eventually, expect

T = TypeVar("T")
CONFIGURATION = re.compile(r'<code id="cursor-key">(.*?)</code>', re.DOTALL)
# Tools of examples/mcp_server/server.py. Both cost one unit of the quota; the second one fails with these arguments.
CHARGED = ("start_session", {"topic": "deployment"})
FAILING = ("import_notes", {"text": "a line without a colon"})


def read_configuration(html: str) -> dict[str, Any]:
    """Return the server that the client configuration on a page describes: `url` and `headers`."""
    match = CONFIGURATION.search(html)
    expect(match, "the page shows no MCP client configuration")
    assert match
    (server,) = json.loads(unescape(match[1]))["mcpServers"].values()
    return dict(server)


def connect(journey: Journey, use: Callable[[Client], Awaitable[T]]) -> T:
    """Connect with the client configuration from the page, and return the result of `use`."""

    async def main() -> T:
        server = journey.mcp_configuration
        http = httpx2.AsyncClient(headers=server["headers"], timeout=httpx2.Timeout(TIMEOUT_SECONDS))
        async with http, Client(streamable_http_client(server["url"], http_client=http), read_timeout_seconds=TIMEOUT_SECONDS) as client:
            return await use(client)

    return asyncio.run(main())


def call(journey: Journey, tool: tuple[str, dict[str, Any]], *, times: int = 1) -> list[CallToolResult]:
    """Call a tool, and return the results."""

    async def use(client: Client) -> list[CallToolResult]:
        return [await client.call_tool(*tool) for _ in range(times)]

    return connect(journey, use)


def text_of(result: CallToolResult) -> str:
    """Return the text that a model reads."""
    return " ".join(content.text for content in result.content if isinstance(content, TextContent))


def tool_names(journey: Journey) -> list[str]:
    """Return the tools that the customer's plan includes."""

    async def use(client: Client) -> list[str]:
        return [tool.name for tool in (await client.list_tools()).tools]

    return connect(journey, use)


def _used(journey: Journey) -> dict[str, Any]:
    """Return the usage of the quota. A reservation that is about to be released or settled counts as held."""
    usage = journey.api.get("/api/usage/current")["usage"]
    return next(meter for meter in usage if meter["feature"] == journey.offer.quota)


def use_tools(journey: Journey, report: Report) -> bool:
    """Use up the quota of the first plan with calls of the example server. With another server, only list the tools."""
    offer = journey.offer

    def tools() -> str:
        journey.tools = tool_names(journey)
        return f"connected to {journey.mcp_configuration['url']} with the configuration that was pasted: {', '.join(journey.tools)}"

    def failed() -> str:
        (result,) = call(journey, FAILING)
        expect(result.is_error, f"the tool did not fail: {result}")
        usage = eventually(lambda: (usage := _used(journey))["held"] == 0 and usage, what="the reservation is released")
        expect(usage["used"] == 0, f"the failed call was counted: {usage}")
        return f"{FAILING[0]}: {text_of(result)}\n{usage['used']} of {usage['included']} used"

    def all_pass() -> str:
        results = call(journey, CHARGED, times=offer.limit)
        refused = [text_of(result) for result in results if result.is_error]
        expect(not refused, f"{len(refused)} were refused: {refused[:1]}")
        usage = eventually(lambda: (usage := _used(journey))["used"] == offer.limit and usage, what=f"{offer.limit} calls are charged")
        return f"{offer.limit} calls of {CHARGED[0]}: used {usage['used']}, included {usage['included']}, remaining {usage['remaining']}"

    def refused() -> str:
        (result,) = call(journey, CHARGED)
        facts = result.structured_content or {}
        expect(result.is_error and facts.get("code") == "quota_exceeded", f"the call was not refused: {result}")
        expect(facts["limit"] == offer.limit and facts["resetsAt"] and facts["upgradeUrl"], f"facts are missing: {facts}")
        return f"{facts['code']}: {text_of(result)}"

    def by_tool() -> str:
        rows = journey.api.get("/api/usage/history?interval=month&groupBy=tool")["data"]
        # The calls may have been made in two months.
        calls = sum(row["events"] for row in rows if row["tool"] == CHARGED[0])
        expect(calls == offer.limit, f"the usage history says: {rows}")
        return f"{calls} calls of {CHARGED[0]}, as on {journey.world.url}/account/usage/"

    return report.step("connect the official MCP client and list the tools", tools) and (
        journey.world.notes_port is None
        or (
            report.step("a tool that raises is not charged", failed)
            and report.step(f"{offer.limit} {offer.unit} pass on {offer.free['title']}, as tool calls", all_pass)
            and report.step("the usage history counts the calls by tool", by_tool)
            and report.step("the next one is refused, in words that a model can act on", refused)
        )
    )


def passes_again(journey: Journey) -> str:
    """Call the tool that was refused on the first plan. A refused call is not charged, so it can be retried until the plan is in effect."""

    def passed() -> CallToolResult | None:
        (result,) = call(journey, CHARGED)
        return None if result.is_error else result

    result = eventually(passed, what="the tool call passes on the new plan")
    gained = [tool for tool in tool_names(journey) if tool not in journey.tools]
    more = f"; the plan adds {', '.join(gained)}" if gained else ""
    return f"{CHARGED[0]}: {text_of(result).splitlines()[0]}{more}"
