"""Tools and prompts of the conformance server that ask the client for input before they answer (`input_required`)."""

from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server.mcpserver import Context, MCPServer

Requests = dict[str, types.ElicitRequest | types.CreateMessageRequest | types.ListRootsRequest]
# The response of a tool: text, or a request for input.
Answer = str | types.InputRequiredResult


def elicit(message: str, field: str, kind: str = "string") -> types.ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(text: str, tokens: int) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=types.TextContent(text=text))
    return types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[message], max_tokens=tokens))


def answers(ctx: Context[Any, Any], requests: Requests) -> dict[str, Any] | None:
    """Return the client's answers if all of them are there and of the kind that was asked for."""
    given = ctx.input_responses or {}
    kinds = {
        "elicitation/create": types.ElicitResult,
        "sampling/createMessage": types.CreateMessageResult,
        "roots/list": types.ListRootsResult,
    }
    found = {name: given.get(name) for name in requests}
    if all(isinstance(found[name], kinds[request.method]) for name, request in requests.items()):
        return found
    return None


def required(requests: Requests, state: str | None = None) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=dict(requests), request_state=state)


NAME: Requests = {"user_name": elicit("What is your name?", "name")}
CAPITAL: Requests = {"capital_question": sample("What is the capital of France?", 100)}
ROOTS: Requests = {"client_roots": types.ListRootsRequest()}
CONFIRM: Requests = {"confirm": elicit("Please confirm", "ok", "boolean")}
SEVERAL: Requests = {**NAME, "greeting": sample("Generate a greeting", 50), **ROOTS}
STEPS: tuple[Requests, ...] = (
    {"step1": elicit("Step 1: What is your name?", "name")},
    {"step2": elicit("Step 2: What is your favorite color?", "color")},
)


def register_rounds(server: MCPServer) -> None:
    """Add the tools and the prompt to the server."""
    single(server, "test_input_required_result_elicitation", NAME)
    single(server, "test_streaming_elicitation", NAME)
    single(server, "test_input_required_result_sampling", CAPITAL)
    single(server, "test_input_required_result_list_roots", ROOTS)
    single(server, "test_input_required_result_request_state", CONFIRM, state="confirming")
    single(server, "test_input_required_result_tampered_state", CONFIRM, state="confirming")
    single(server, "test_input_required_result_multiple_inputs", SEVERAL, state="several")
    server.tool("test_input_required_result_multi_round")(multi_round)
    server.tool("test_input_required_result_capabilities")(capabilities)
    server.prompt("test_input_required_result_prompt")(prompt)


def single(server: MCPServer, name: str, requests: Requests, state: str | None = None) -> None:
    """Add a tool that asks once."""

    async def run(ctx: Context[Any, Any]) -> Answer:
        """Ask once, then answer."""
        found = answers(ctx, requests)
        if found is None:
            return required(requests, state)
        if ctx.request_state != state:
            raise MCPError(types.INVALID_PARAMS, "The request state is not valid.")
        return f"Hello, state-ok: { ({key: value.model_dump(mode='json') for key, value in found.items()}) }"

    server.tool(name)(run)


async def multi_round(ctx: Context[Any, Any]) -> Answer:
    """Ask twice, then answer."""
    step = int(ctx.request_state or 0)
    if step == 0 or answers(ctx, STEPS[step - 1]) is None:
        step = max(step, 1)
        return required(STEPS[step - 1], str(step))
    return "done" if step == len(STEPS) else required(STEPS[step], str(step + 1))


async def capabilities(ctx: Context[Any, Any]) -> Answer:
    """Ask only for what the client offers."""
    offered = ctx.client_capabilities or types.ClientCapabilities()
    requests: Requests = {}
    if offered.elicitation is not None:
        requests |= NAME
    if offered.sampling is not None:
        requests |= CAPITAL
    if offered.roots is not None:
        requests |= ROOTS
    return required(requests) if requests and answers(ctx, requests) is None else "done"


async def prompt(ctx: Context[Any, Any]) -> Answer:
    """Ask for the context of a prompt."""
    found = answers(ctx, {"user_context": elicit("What context should the prompt use?", "context")})
    if found is None:
        return required({"user_context": elicit("What context should the prompt use?", "context")})
    return f"Use this context: {found['user_context'].content}"
