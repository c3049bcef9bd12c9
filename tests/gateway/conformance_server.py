"""The upstream server of the conformance suite, written with the official SDK. Run it with a port.

The suite's scenarios name the tools, prompts and resources and say what each returns: `conformance list` shows the scenarios, and their
descriptions are in the package. Every revision that the SDK speaks is served at `/mcp`.
"""

import asyncio
import base64
import json
import sys
import warnings
from typing import Annotated, Any

import mcp_types as types
import uvicorn
from mcp import MCPError
from mcp.server.mcpserver import Context, MCPServer, UserMessage
from mcp.server.mcpserver.tools import Tool
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.shared.exceptions import MCPDeprecationWarning
from pydantic import Field

from tests.gateway.conformance_rounds import register_rounds
from tests.gateway.conformance_schemas import DEFAULTS, ENUMS, SCHEMA_2020_12, USER

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
PAUSE_SECONDS = 0.05
# A client reconnects after this time when the server closes its stream.
RETRY_MILLISECONDS = 200


class Events(EventStore):
    """Keeps the events of all streams, so that a client can resume one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        position = int(last_event_id)
        stream = self.events[position - 1][0]
        for number, (stream_id, message) in enumerate(self.events[position:], position + 1):
            if stream_id == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


server = MCPServer("conformance", version="1.0.0", log_level="CRITICAL")


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> types.EmbeddedResource:
    return types.EmbeddedResource(resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def image() -> types.ImageContent:
    return types.ImageContent(data=PIXEL, mime_type="image/png")


@server.tool()
def test_simple_text() -> str:
    """Return text."""
    return "This is a simple text response for testing."


@server.tool()
def test_image_content() -> list[types.ImageContent]:
    """Return an image."""
    return [image()]


@server.tool()
def test_audio_content() -> list[types.AudioContent]:
    """Return a sound."""
    return [types.AudioContent(data=SILENCE, mime_type="audio/wav")]


@server.tool()
def test_embedded_resource() -> list[types.EmbeddedResource]:
    """Return a resource."""
    return [embedded("test://embedded-resource", "This is an embedded resource content.")]


@server.tool()
def test_multiple_content_types() -> list[types.TextContent | types.ImageContent | types.EmbeddedResource]:
    """Return text, an image and a resource."""
    resource = embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return [types.TextContent(text="Multiple content types test:"), image(), resource]


@server.tool()
async def test_tool_with_logging(ctx: Context[Any, Any]) -> str:
    """Send three log messages."""
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(text)
        await asyncio.sleep(PAUSE_SECONDS)
    return "done"


@server.tool()
async def test_logging_tool(ctx: Context[Any, Any]) -> str:
    """Send a log message, which a client of revision 2026-07-28 gets only if its request names a level."""
    await ctx.info("logged")
    return "done"


@server.tool()
async def test_tool_with_progress(ctx: Context[Any, Any]) -> str:
    """Report progress three times."""
    for progress in (0, 50, 100):
        await ctx.report_progress(progress, 100, f"{progress} of 100")
        await asyncio.sleep(PAUSE_SECONDS)
    return "done"


@server.tool()
def test_error_handling() -> str:
    """Fail."""
    raise ValueError("This tool intentionally returns an error for testing")


@server.tool()
async def test_sampling(prompt: str, ctx: Context[Any, Any]) -> str:
    """Ask the client's model."""
    message = types.SamplingMessage(role="user", content=types.TextContent(text=prompt))
    answer = await ctx.session.create_message([message], max_tokens=100)
    return f"LLM response: {getattr(answer.content, 'text', '')}"


async def ask(ctx: Context[Any, Any], message: str, properties: dict[str, Any]) -> str:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    answer = await ctx.session.elicit_form(message, schema, ctx.request_context.request_id)
    return f"action={answer.action}, content={json.dumps(answer.content)}"


@server.tool()
async def test_elicitation(message: str, ctx: Context[Any, Any]) -> str:
    """Ask the user."""
    return f"User response: {await ask(ctx, message, USER)}"


@server.tool()
async def test_elicitation_sep1034_defaults(ctx: Context[Any, Any]) -> str:
    """Ask the user, with defaults."""
    return f"Elicitation completed: {await ask(ctx, 'Check the defaults.', DEFAULTS)}"


@server.tool()
async def test_elicitation_sep1330_enums(ctx: Context[Any, Any]) -> str:
    """Ask the user to choose."""
    return f"Elicitation completed: {await ask(ctx, 'Choose.', ENUMS)}"


@server.tool()
async def test_reconnection(ctx: Context[Any, Any]) -> str:
    """Close the stream before the response. The client reconnects to receive it."""
    # The client needs the stream's first event, which contains the ID for reconnecting.
    await asyncio.sleep(PAUSE_SECONDS)
    await ctx.close_sse_stream()
    await asyncio.sleep(RETRY_MILLISECONDS / 1000)
    return "Reconnection test completed"


@server.tool()
def test_missing_capability(ctx: Context[Any, Any]) -> str:
    """Require a client that offers sampling."""
    if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
        data = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "The client does not offer sampling.", data)
    return "done"


@server.tool()
async def test_trigger_tool_change(ctx: Context[Any, Any]) -> str:
    """Tell subscribers that the tools have changed."""
    await ctx.notify_tools_changed()
    return "done"


@server.tool()
async def test_trigger_prompt_change(ctx: Context[Any, Any]) -> str:
    """Tell subscribers that the prompts have changed."""
    await ctx.notify_prompts_changed()
    return "done"


@server.tool()
def test_custom_headers(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "") -> str:
    """Take an argument that a header mirrors."""
    return region


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    """Return text."""
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    """Return an image."""
    return base64.b64decode(PIXEL)


@server.resource("test://watched-resource", mime_type="text/plain")
def watched() -> str:
    """Return what a client may subscribe to."""
    return "Watched"


@server.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str) -> str:
    """Return data by its ID."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"}, separators=(",", ":"))


@server.prompt()
def test_simple_prompt() -> str:
    """Return a prompt."""
    return "This is a simple prompt for testing."


@server.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """Return a prompt with its arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@server.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
    """Return a prompt with a resource."""
    resource = embedded(resourceUri, "Embedded resource content for testing.")
    return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]


@server.prompt()
def test_prompt_with_image() -> list[UserMessage]:
    """Return a prompt with an image."""
    return [UserMessage(image()), UserMessage("Please analyze the image above.")]


@server.completion()
async def complete(*_: Any) -> types.Completion:
    """Complete nothing."""
    return types.Completion(values=[], total=0, has_more=False)


async def acknowledge(*_: Any) -> types.EmptyResult:
    return types.EmptyResult()


def main(port: int) -> None:
    # Earlier revisions support features that the newest revision deprecates.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    tool = Tool.from_function(lambda: "done", name="json_schema_2020_12_tool", description="Tool with JSON Schema 2020-12 features")
    server._tool_manager._tools[tool.name] = tool.model_copy(update={"parameters": SCHEMA_2020_12})
    register_rounds(server)
    handlers = (("logging/setLevel", types.SetLevelRequestParams), ("resources/subscribe", types.SubscribeRequestParams))
    for method, parameters in (*handlers, ("resources/unsubscribe", types.UnsubscribeRequestParams)):
        server._lowlevel_server.add_request_handler(method, parameters, acknowledge)
    app = server.streamable_http_app(event_store=Events(), retry_interval=RETRY_MILLISECONDS)
    # httptools leaves whitespace after a header's value, for which the suite fails a server (RFC 9110, section 5.5).
    uvicorn.run(app, host="127.0.0.1", port=port, http="h11", log_level="error", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
