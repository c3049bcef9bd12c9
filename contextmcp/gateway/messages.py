"""Parse a JSON-RPC message of a client, and compare it with the headers that mirror it.

The gateway and the upstream server must interpret a message in the same way, so that the server runs the call that the gateway has priced.
A message that two parsers could interpret differently is therefore refused and not corrected.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, NoReturn

from msgspec import Struct

from .errors import ProtocolError

# The first revision without sessions. It requires the mirrored headers.
STATELESS_VERSION = "2026-07-28"
PROTOCOL_VERSION_FIELD = "io.modelcontextprotocol/protocolVersion"
PARSE_ERROR, INVALID_REQUEST, HEADER_MISMATCH = -32700, -32600, -32020
MAX_NAME_LENGTH = 1024
# The parameter that names what a request uses. `Mcp-Name` mirrors it.
NAME_PARAMETERS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_MEMBERS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMETERS = frozenset({"name", "uri", "arguments", "_meta"})
_BASE64_PREFIX, _BASE64_SUFFIX = "=?base64?", "?="

MessageId = str | int


class MessageKind(Enum):
    """The three kinds of JSON-RPC message that a client sends."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    # The response to a request that the server sent to the client. Revision 2026-07-28 has no such requests.
    RESPONSE = "response"


class Message(Struct, frozen=True):
    """A client's message. `name` is the tool, prompt or resource URI that it uses, if it uses one."""

    kind: MessageKind
    id: MessageId | None = None
    method: str = ""
    name: str | None = None
    arguments: Mapping[str, Any] = {}
    meta: Mapping[str, Any] = {}


def parse(body: bytes) -> Message:
    """Return the message in `body`.

    Raises:
        ProtocolError: the body is not a single, unambiguous JSON-RPC 2.0 message.
    """
    payload = _load(body)
    if isinstance(payload, list):
        raise ProtocolError(INVALID_REQUEST, "Send one JSON-RPC message per request. Batches are not supported.")
    if not isinstance(payload, dict) or payload.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'The body must be a JSON-RPC message with "jsonrpc": "2.0".')
    identifier = payload.get("id")
    if "id" in payload and (isinstance(identifier, bool) or not isinstance(identifier, str | int) or not _is_text(str(identifier))):
        raise ProtocolError(INVALID_REQUEST, "The ID must be a string or an integer.")
    _refuse_lookalikes(payload, _MEMBERS, identifier)
    if "method" not in payload:
        if "id" not in payload or ("result" in payload) == ("error" in payload):
            raise ProtocolError(INVALID_REQUEST, "A message needs a method, or an ID and either a result or an error.", identifier)
        return Message(MessageKind.RESPONSE, identifier)
    return _request(payload, identifier)


def check_headers(message: Message, headers: Mapping[str, str]) -> None:
    """Compare the mirrored headers with the message. `headers` has lower-case names.

    A header that is present has to agree in every revision, because a proxy may have used it. From revision 2026-07-28 on,
    the headers are required.

    Raises:
        ProtocolError: a header is missing or differs (HeaderMismatch).
    """
    if message.kind is MessageKind.RESPONSE:
        return
    version = headers.get("mcp-protocol-version")
    declared = message.meta.get(PROTOCOL_VERSION_FIELD)
    if declared is not None and declared != version:
        _mismatch("MCP-Protocol-Version", version, declared, message.id)
    required = version is not None and version >= STATELESS_VERSION and message.kind is MessageKind.REQUEST
    _compare("Mcp-Method", headers.get("mcp-method"), message.method, message.id, required=required)
    name = headers.get("mcp-name")
    if message.name is not None:
        _compare("Mcp-Name", None if name is None else _decode_header(name, message.id), message.name, message.id, required=required)


def _request(payload: dict[str, Any], identifier: MessageId | None) -> Message:
    method, params = payload["method"], payload.get("params", {})
    if not isinstance(method, str) or not 0 < len(method) <= MAX_NAME_LENGTH or not _is_text(method):
        raise ProtocolError(INVALID_REQUEST, "The method must be a string.", identifier)
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_REQUEST, "The parameters must be an object.", identifier)
    kind = MessageKind.REQUEST if "id" in payload else MessageKind.NOTIFICATION
    meta = params.get("_meta", {})
    if not isinstance(meta, dict):
        raise ProtocolError(INVALID_REQUEST, "_meta must be an object.", identifier)
    parameter = NAME_PARAMETERS.get(method)
    if parameter is None:
        return Message(kind, identifier, method, meta=meta)
    if kind is MessageKind.NOTIFICATION:
        # If a server ran it, the call could not be charged.
        raise ProtocolError(INVALID_REQUEST, f"{method} needs an ID.")
    _refuse_lookalikes(params, _PARAMETERS, identifier)
    name, arguments = params.get(parameter), params.get("arguments")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH or not _is_text(name):
        raise ProtocolError(INVALID_REQUEST, f"{method} needs the parameter {parameter}.", identifier)
    if not isinstance(arguments, dict | None):
        raise ProtocolError(INVALID_REQUEST, "The arguments must be an object.", identifier)
    return Message(kind, identifier, method, name, arguments or {}, meta)


def _load(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode())
    except ProtocolError:
        raise
    except (ValueError, RecursionError):
        # Integers of more than 4,300 digits raise ValueError too.
        raise ProtocolError(PARSE_ERROR, "The body is not valid JSON.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ProtocolError(PARSE_ERROR, "The body has an object with the same key twice.")
    return result


def _constant(name: str) -> NoReturn:
    raise ProtocolError(PARSE_ERROR, f"{name} is not valid JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def _refuse_lookalikes(payload: dict[str, Any], names: frozenset[str], identifier: MessageId | None) -> None:
    """Refuse `Method` beside `method`: Go's JSON decoder, for example, compares keys without case and takes the last one."""
    for key in payload:
        if key not in names and key.casefold() in names:
            raise ProtocolError(INVALID_REQUEST, f"Unknown member {key[:64]!r}.", identifier)


def _is_text(value: str) -> bool:
    """Return whether the string can be encoded: JSON can express half of a surrogate pair, and UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _compare(header: str, value: str | None, expected: str, identifier: MessageId | None, *, required: bool) -> None:
    if value is None and not required:
        return
    if value != expected:
        _mismatch(header, value, expected, identifier)


def _mismatch(header: str, value: object, expected: object, identifier: MessageId | None) -> NoReturn:
    if value is None:
        raise ProtocolError(HEADER_MISMATCH, f"Header mismatch: {header} is missing.", identifier)
    raise ProtocolError(
        HEADER_MISMATCH, f"Header mismatch: {header} is {str(value)[:128]!r}, and the body has {str(expected)[:128]!r}.", identifier
    )


def _decode_header(value: str, identifier: MessageId | None) -> str:
    if not (value.startswith(_BASE64_PREFIX) and value.endswith(_BASE64_SUFFIX)):
        return value
    try:
        return base64.b64decode(value[len(_BASE64_PREFIX) : -len(_BASE64_SUFFIX)], validate=True).decode()
    except (binascii.Error, ValueError):
        raise ProtocolError(HEADER_MISMATCH, "Header mismatch: Mcp-Name is not valid Base64.", identifier) from None
