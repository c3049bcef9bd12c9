"""The adapter for the official package `mcp` 2.x. Install `contextmcp-sdk[mcp]`.

    server = MCPServer("notes", **behind_plans(AsyncClient(...), load_pricing("pricing.toml"), resource_url="https://notes.example/mcp"))

Every tool call is then charged to the plan of the customer whose API key the client sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension
from mcp_types import CallToolRequestParams, CallToolResult
from pydantic import AnyHttpUrl, BaseModel

from .async_client import AsyncClient
from .charging import Outcome, ToolCharges
from .denials import Denial
from .pricing import Pricing
from .tool_list import view_tool
from .types import Customer
from .verification import CACHE_SECONDS, CredentialVerifier


class ContextMCPTokenVerifier(TokenVerifier):
    """Accepts the credentials of the service's customers: API keys, and access tokens that were issued for MCP_SERVER_URL.

    The access token's `client_id` and `subject` are the ID of the organization, and `claims["plan"]` is the name of its plan.
    """

    def __init__(self, client: AsyncClient, *, cache_seconds: float = CACHE_SECONDS) -> None:
        self._verifier = CredentialVerifier(client, cache_seconds=cache_seconds)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the access token of a credential, or None if it is not accepted."""
        entitlements = await self._verifier.verify(token)
        if entitlements is None:
            return None
        organization = entitlements.organization_id
        return AccessToken(token=token, client_id=organization, scopes=[], subject=organization, claims={"plan": entitlements.plan})


class PlanExtension(Extension):
    """Charges each tool call to the customer's plan. A refused call is a result with `isError` that says what to do.

    Args:
        client: an `AsyncClient` with a service key.
        pricing: what each tool costs.
        customer: for a server with one customer, such as one without authentication. By default the customer is the one whose access token
            the request has.
    """

    identifier = "com.contextmcp/plans"

    def __init__(self, client: AsyncClient, pricing: Pricing, *, customer: Customer | None = None) -> None:
        self._charges, self._customer = ToolCharges(client, pricing), customer

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Reserve, run the tool, and settle or release."""
        # `params.meta` has the fields that the protocol defines, and no others.
        meta = (ctx.params or {}).get("_meta") or {}
        # A cancellation in between would leave a reservation that only expires.
        with anyio.CancelScope(shield=True):
            reservation = await self._charges.reserve(params.name, params.arguments or {}, meta, self._customer or current_customer())
        if isinstance(reservation, Denial):
            return CallToolResult.model_validate(reservation.result())
        outcome: Outcome = "protocol_error"
        result_meta: Mapping[str, Any] = {}
        try:
            result = await call_next(ctx)
            outcome, result_meta = _outcome(result)
            return result
        except anyio.get_cancelled_exc_class():
            outcome = "cancelled"
            raise
        finally:
            # The client may have disconnected, but the reservation has to end.
            with anyio.CancelScope(shield=True):
                await self._charges.finish(reservation, outcome, result_meta)


class PlanToolList:
    """Lists the tools that the plan includes: a middleware of `MCPServer`. The arguments are those of `PlanExtension`."""

    def __init__(self, client: AsyncClient, pricing: Pricing, *, customer: Customer | None = None) -> None:
        self._charges, self._customer = ToolCharges(client, pricing), customer

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Return the server's response for this customer."""
        result = await call_next(ctx)
        if ctx.method != "tools/list" or result is None:
            return result
        fields = result.model_dump(by_alias=True, exclude_none=True, mode="json") if isinstance(result, BaseModel) else dict(result)
        plan = await self._charges.plan(self._customer or current_customer())
        tools = []
        for tool in fields.get("tools", ()):
            view = view_tool(self._charges.pricing, plan, tool["name"], tool.get("description"), tool.get("outputSchema"))
            if view is not None:
                seen = {"description": view.description, "outputSchema": view.output_schema}
                tools.append(tool | {name: value for name, value in seen.items() if value is not None})
        return fields | {"tools": tools} | ({"cacheScope": "private"} if "cacheScope" in fields else {})


def behind_plans(client: AsyncClient, pricing: Pricing, *, resource_url: str) -> dict[str, Any]:
    """Return the arguments of `MCPServer` for a server whose clients send their API key. `resource_url` is the server's public URL."""
    return {
        "token_verifier": ContextMCPTokenVerifier(client),
        "auth": AuthSettings(
            issuer_url=AnyHttpUrl(client.url), resource_server_url=AnyHttpUrl(resource_url), validate_token_resource=False
        ),
        "extensions": [PlanExtension(client, pricing)],
        "middleware": [PlanToolList(client, pricing)],
    }


def current_customer() -> Customer | None:
    """Return the customer whose access token authenticates the current request, or None without authentication."""
    access = get_access_token()
    return None if access is None else Customer(access.token, access.subject)


def _outcome(result: HandlerResult) -> tuple[Outcome, Mapping[str, Any]]:
    fields = result.model_dump(by_alias=True, exclude_none=True) if isinstance(result, BaseModel) else result or {}
    meta = fields.get("_meta") or {}
    if fields.get("resultType") == "input_required":
        return "input_required", meta
    return ("tool_error" if fields.get("isError") is True else "success"), meta
