"""Errors of the gateway before it checks the plan, and failures of upstream servers."""

from __future__ import annotations

from contextmcp.common.errors import DomainError


class ProtocolError(Exception):
    """The client's message is not valid JSON-RPC or MCP. The response is HTTP 400 with a JSON-RPC error."""

    def __init__(self, code: int, message: str, request_id: str | int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.request_id = code, message, request_id


class UpstreamError(Exception):
    """The upstream server did not respond as MCP requires. The message is sent to the client, so it contains no address."""

    code = -32010

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UpstreamUnavailable(UpstreamError):
    """The server refused the connection or did not respond in time."""

    code = -32011


class ResponseTooLarge(UpstreamError):
    """A message of the upstream server exceeds the gateway's size limit."""

    code = -32012


class ToolNotAvailable(DomainError):
    """The pricing file denies the tool, prompt or resource to all callers."""

    code = "tool_not_available"
    status = 403
    message = "This tool is not available."


class OriginNotAllowed(DomainError):
    """A browser sent the request from a site that is not listed (MCP: protection against DNS rebinding)."""

    code = "origin_not_allowed"
    status = 403
    message = "Requests from this origin are not allowed."


class ServiceKeyNotAccepted(DomainError):
    """A service key belongs to the vendor's own servers. An MCP client sends the customer's key."""

    code = "service_key_not_accepted"
    status = 401
    message = "Send a customer's API key. Service keys are not accepted here."
