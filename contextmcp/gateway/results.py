"""Read JSON-RPC responses of upstream servers, and write the gateway's own.

A model sees the results of tools and not JSON-RPC errors. Therefore the response to a refused tool call is a result that says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from contextmcp.common import problems
from contextmcp.common.errors import DomainError

from .messages import STATELESS_VERSION, MessageId

# JSON-RPC error of a refused request that is not a tool call, such as a priced prompt. -32000 to -32019 are free for implementations.
REFUSED = -32013
_DETAILS = ("feature", "limit", "used", "remaining", "resetsAt", "retryAfter", "upgradeUrl", "requiredPlan", "errors")
# The members of a refusal's structured content.
FACTS = frozenset({"code", *_DETAILS})
_encoder = msgspec.json.Encoder()


class ResponseKind(Enum):
    """What an upstream message means for the charge of the request that it answers."""

    SUCCESS = "success"
    # The tool ran and failed.
    TOOL_ERROR = "tool_error"
    PROTOCOL_ERROR = "protocol_error"
    # The server needs more input. The client repeats the request with it.
    INPUT_REQUIRED = "input_required"


class Response(Struct, frozen=True):
    """The response to a request, reduced to the fields that charging needs."""

    kind: ResponseKind
    meta: Mapping[str, Any] = {}


class _Envelope(Struct):
    id: Any = None
    result: Any | UnsetType = UNSET
    error: Any | UnsetType = UNSET
    method: Any = None


_decoder = msgspec.json.Decoder(_Envelope)


def read_response(data: bytes, request_id: MessageId) -> Response | None:
    """Return the response in `data`, or None if it is not the response to this request. Malformed JSON is ignored."""
    try:
        envelope = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if envelope.method is not None or not _same_id(envelope.id, request_id):
        return None
    if envelope.error is not UNSET:
        return Response(ResponseKind.PROTOCOL_ERROR)
    if envelope.result is UNSET:
        return None
    result = envelope.result if isinstance(envelope.result, dict) else {}
    meta = result.get("_meta")
    if result.get("resultType") == "input_required":
        kind = ResponseKind.INPUT_REQUIRED
    elif result.get("isError") is True:
        kind = ResponseKind.TOOL_ERROR
    else:
        kind = ResponseKind.SUCCESS
    return Response(kind, meta if isinstance(meta, dict) else {})


def answered_request_id(data: bytes) -> MessageId | None:
    """Return the ID of the request that the message in `data` answers, or None if it answers none."""
    try:
        envelope = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    is_response = envelope.method is None and (envelope.result is not UNSET or envelope.error is not UNSET)
    return envelope.id if is_response and type(envelope.id) in (str, int) else None


def error_body(code: int, message: str, request_id: MessageId | None = None, data: Any = None) -> bytes:
    """Return a JSON-RPC error. It has no ID if the ID of the request is not known."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    body: dict[str, Any] = {"jsonrpc": "2.0", "error": error}
    if request_id is not None:
        body["id"] = request_id
    return _encoder.encode(body)


def denial_body(refusal: DomainError, method: str, request_id: MessageId, version: str | None) -> bytes:
    """Return the response to a request that the plan refuses: a tool result with `isError`, or a JSON-RPC error for other methods."""
    facts = denial_facts(refusal)
    if method != "tools/call":
        return error_body(REFUSED, facts.pop("message"), request_id, facts)
    text = facts.pop("message")
    if url := facts.get("upgradeUrl"):
        text = f"{text} The plan can be changed at {url}"
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "structuredContent": facts, "isError": True}
    if version is not None and version >= STATELESS_VERSION:
        result["resultType"] = "complete"
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def denial_facts(refusal: DomainError) -> dict[str, Any]:
    """Return the refusal's code, its message and the details that a model can act on."""
    problem = problems.body(refusal)
    facts: dict[str, Any] = {"code": refusal.code, "message": refusal.text}
    return facts | {name: problem[name] for name in _DETAILS if problem.get(name) is not None}


def _same_id(value: Any, request_id: MessageId) -> bool:
    return type(value) is type(request_id) and value == request_id
