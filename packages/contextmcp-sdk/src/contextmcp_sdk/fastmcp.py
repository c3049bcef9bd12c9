"""The adapter for `fastmcp` 4. Install `contextmcp-sdk[fastmcp]`.

    client = AsyncClient(...)
    server = FastMCP("notes", auth=ContextMCPAuth(client), middleware=[PlanMiddleware(client, load_pricing("pricing.toml"))])

Every tool call is then charged to the plan of the customer whose API key the client sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from fastmcp.exceptions import ToolError
from fastmcp.server.auth.auth import AccessToken, RemoteAuthProvider, TokenVerifier
from fastmcp.server.dependencies import get_access_token
from fastmcp.server.middleware.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools.base import InputRequiredToolResult, Tool, ToolResult
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsRequest
from pydantic import AnyHttpUrl

from .async_client import AsyncClient
from .charging import Outcome, ToolCharges
from .denials import Denial
from .pricing import Pricing
from .tool_list import view_tool
from .types import Customer
from .verification import CACHE_SECONDS, CredentialVerifier

# The scope with which a client may use tools that cost something.
SPENDING = "usage:write"


class ContextMCPAuth(TokenVerifier):
    """Accepts the credentials of the service's customers: API keys, and access tokens that were issued for MCP_SERVER_URL.

    The access token's `client_id` and `subject` are the ID of the organization, and `claims["plan"]` is the name of its plan.

    Args:
        client: an `AsyncClient` with a service key.
        base_url: the public URL of this server, for the metadata of the protected resource.
        cache_seconds: how long the service's response is reused.
    """

    def __init__(self, client: AsyncClient, *, base_url: str | None = None, cache_seconds: float = CACHE_SECONDS) -> None:
        super().__init__(base_url=base_url)
        self._verifier = CredentialVerifier(client, cache_seconds=cache_seconds)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the access token of a credential, or None if it is not accepted."""
        entitlements = await self._verifier.verify(token)
        if entitlements is None:
            return None
        organization = entitlements.organization_id
        return AccessToken(token=token, client_id=organization, scopes=[], subject=organization, claims={"plan": entitlements.plan})


class ContextMCPOAuth(RemoteAuthProvider):
    """Accepts what `ContextMCPAuth` accepts, and tells clients without a key where their users sign in (RFC 9728).

    Args:
        client: an `AsyncClient` with a service key. Its URL is the issuer, which is PUBLIC_URL of the service.
        base_url: the public URL of this server without the path `/mcp`. MCP_SERVER_URL of the service is the URL with the path.
    """

    def __init__(self, client: AsyncClient, *, base_url: str, cache_seconds: float = CACHE_SECONDS) -> None:
        super().__init__(
            token_verifier=ContextMCPAuth(client, cache_seconds=cache_seconds),
            authorization_servers=[AnyHttpUrl(client.url)],
            base_url=base_url,
            scopes_supported=[SPENDING],
        )


class PlanMiddleware(Middleware):
    """Charges each tool call to the customer's plan. A refused call is a result with `isError` that says what to do.

    Args:
        client: an `AsyncClient` with a service key.
        pricing: what each tool costs.
        customer: for a server with one customer, such as one without authentication. By default the customer is the one whose access token
            the request has.
    """

    def __init__(self, client: AsyncClient, pricing: Pricing, *, customer: Customer | None = None) -> None:
        self._charges, self._customer = ToolCharges(client, pricing), customer

    async def on_list_tools(
        self, context: MiddlewareContext[ListToolsRequest], call_next: CallNext[ListToolsRequest, Sequence[Tool]]
    ) -> Sequence[Tool]:
        """List the tools that the plan includes."""
        tools = await call_next(context)
        plan = await self._charges.plan(self._customer or current_customer())
        views = [(tool, view_tool(self._charges.pricing, plan, tool.name, tool.description, tool.output_schema)) for tool in tools]
        return [
            tool.model_copy(update={"description": view.description, "output_schema": view.output_schema})
            for tool, view in views
            if view is not None
        ]

    async def on_call_tool(
        self, context: MiddlewareContext[CallToolRequestParams], call_next: CallNext[CallToolRequestParams, ToolResult]
    ) -> ToolResult:
        """Reserve, run the tool, and settle or release."""
        params = context.message
        customer = self._customer or current_customer()
        # A cancellation in between would leave a reservation that only expires.
        with anyio.CancelScope(shield=True):
            reservation = await self._charges.reserve(params.name, params.arguments or {}, _request_meta(context), customer)
        if isinstance(reservation, Denial):
            return ToolResult.from_mcp_result(CallToolResult.model_validate(reservation.result()))
        outcome: Outcome = "protocol_error"
        result_meta: Mapping[str, Any] = {}
        try:
            result = await call_next(context)
            outcome, result_meta = _outcome(result)
            return result
        except ToolError:
            outcome = "tool_error"
            raise
        except anyio.get_cancelled_exc_class():
            outcome = "cancelled"
            raise
        finally:
            # The client may have disconnected, but the reservation has to end.
            with anyio.CancelScope(shield=True):
                await self._charges.finish(reservation, outcome, result_meta)


def current_customer() -> Customer | None:
    """Return the customer whose access token authenticates the current request, or None without authentication."""
    access = get_access_token()
    return None if access is None else Customer(access.token, access.subject)


def _request_meta(context: MiddlewareContext[CallToolRequestParams]) -> Mapping[str, Any]:
    """Return the `_meta` that the client has sent. FastMCP does not copy it into the message that middleware sees."""
    request = None if context.fastmcp_context is None else context.fastmcp_context.request_context
    return (None if request is None else request.meta) or context.message.meta or {}


def _outcome(result: ToolResult) -> tuple[Outcome, Mapping[str, Any]]:
    if isinstance(result, InputRequiredToolResult):
        return "input_required", {}
    # A task handle is not a ToolResult. It is charged when it is created, as by the gateway.
    return ("tool_error" if getattr(result, "is_error", False) else "success"), getattr(result, "meta", None) or {}
