"""Parse the messages of an MCP client and its server that matter for charging."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

from msgspec import Struct

from contextmcp_sdk.charging import Outcome

PARSE_ERROR, INVALID_REQUEST = -32700, -32600
VERSION_FIELD, TYPED_RESULTS = "io.modelcontextprotocol/protocolVersion", "2026-07-28"
TOOL_CALL, CANCELLED = "tools/call", "notifications/cancelled"

MessageId = str | int


class LineRefusal(Exception):
    """The line cannot be forwarded, because the server could interpret it differently from the wrapper. `response` is for the client."""

    def __init__(self, code: int, message: str, request_id: Any = None) -> None:
        super().__init__(message)
        self.response = encode({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})


class ToolCall(Struct, frozen=True):
    """A call of a tool."""

    id: MessageId
    tool: str
    arguments: Mapping[str, Any]
    # Whether the client speaks the revision 2026-07-28 or a later one, in which each result has a type.
    needs_result_type: bool = False


class Cancellation(Struct, frozen=True):
    """The client canceled a request."""

    id: MessageId


class ServerResponse(Struct, frozen=True):
    """The server's response to a request."""

    id: MessageId
    outcome: Outcome
    meta: Mapping[str, Any]


def read_client_line(line: bytes) -> ToolCall | Cancellation | None:
    """Return what the line means for charging, or None if it costs nothing. Raises `LineRefusal`."""
    if not line.strip():
        return None
    try:
        message = _decoder.decode(line.decode())
    except (ValueError, RecursionError):
        raise LineRefusal(PARSE_ERROR, "The line is not valid JSON, or has an object with the same key twice.") from None
    if isinstance(message, list):
        raise LineRefusal(INVALID_REQUEST, "Send one JSON-RPC message per line. Batches are not supported.")
    if not isinstance(message, dict):
        return None
    params = message.get("params")
    params = params if isinstance(params, dict) else {}
    if message.get("method") == CANCELLED and _is_id(params.get("requestId")):
        return Cancellation(params["requestId"])
    if message.get("method") != TOOL_CALL:
        return None
    identifier, tool, arguments = message.get("id"), params.get("name"), params.get("arguments")
    if not _is_id(identifier) or not isinstance(tool, str) or not isinstance(arguments, (dict, type(None))):
        raise LineRefusal(INVALID_REQUEST, "tools/call needs an ID, a name, and arguments that are an object.", identifier)
    meta = params.get("_meta")
    version = meta.get(VERSION_FIELD) if isinstance(meta, dict) else None
    return ToolCall(identifier, tool, arguments or {}, isinstance(version, str) and version >= TYPED_RESULTS)


def read_server_line(line: bytes) -> ServerResponse | None:
    """Return the response to a request in the line, or None if it is something else."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or "method" in message or not _is_id(message.get("id")):
        return None
    result = message.get("result")
    if "error" in message or not isinstance(result, dict):
        return ServerResponse(message["id"], "protocol_error", {})
    meta = result.get("_meta")
    outcome: Outcome = "success"
    if result.get("resultType") == "input_required":
        outcome = "input_required"
    elif result.get("isError") is True:
        outcome = "tool_error"
    return ServerResponse(message["id"], outcome, meta if isinstance(meta, dict) else {})


def encode(message: Mapping[str, Any]) -> bytes:
    """Return the message as a line. It is ASCII, because JSON strings may contain lone surrogates, which UTF-8 cannot encode."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _is_id(value: Any) -> TypeGuard[MessageId]:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("the same key twice")
    return result


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
