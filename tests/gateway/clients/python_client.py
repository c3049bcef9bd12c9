"""The client of the official Python SDK (`mcp`)."""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url: str, key: str, mode: str) -> None:
    progress = []

    async def note(value, total, message):
        progress.append(value)

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        tools = [tool.name for tool in (await client.list_tools()).tools]
        called = await client.call_tool("test_tool_with_progress", progress_callback=note)
        refused = await client.call_tool("test_simple_text")
        print(
            json.dumps(
                {
                    "tools": tools,
                    "text": called.content[0].text,
                    "progress": progress,
                    "refusal": {"isError": refused.is_error, "text": refused.content[0].text, **refused.structured_content},
                }
            ),
            flush=True,
        )
        await asyncio.to_thread(sys.stdin.readline)
        again = await client.call_tool("test_custom_headers", {"region": "eu"})
        print(json.dumps({"again": again.content[0].text}), flush=True)


try:
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3]))
except BaseException as error:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    print(json.dumps({"error": str(error)}), flush=True)
