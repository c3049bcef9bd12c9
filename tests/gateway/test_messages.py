"""What the gateway reads in a client's message, and which messages it refuses because an upstream server could read them otherwise."""

import base64
import json

import pytest

from contextmcp.gateway.errors import ProtocolError
from contextmcp.gateway.messages import HEADER_MISMATCH, INVALID_REQUEST, PARSE_ERROR, MessageKind, check_headers, parse
from tests.support.properties import given, st

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


def call(name="search", identifier=1, **params):
    return {"jsonrpc": "2.0", "id": identifier, "method": "tools/call", "params": {"name": name, "arguments": {"pages": 3}, **params}}


def parsed(payload):
    return parse(json.dumps(payload).encode())


def test_a_call_names_its_tool_and_arguments():
    message = parsed(call(_meta=META))
    assert (message.kind, message.id, message.method, message.name) == (MessageKind.REQUEST, 1, "tools/call", "search")
    assert message.arguments == {"pages": 3}
    assert message.meta == META


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({"jsonrpc": "2.0", "id": "a", "method": "ping"}, MessageKind.REQUEST),
        ({"jsonrpc": "2.0", "method": "notifications/initialized"}, MessageKind.NOTIFICATION),
        ({"jsonrpc": "2.0", "id": 4, "result": {}}, MessageKind.RESPONSE),
        ({"jsonrpc": "2.0", "id": 4, "error": {"code": 1, "message": "no"}}, MessageKind.RESPONSE),
    ],
)
def test_kinds_of_message(payload, kind):
    assert parsed(payload).kind is kind


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", PARSE_ERROR),
        (b"{", PARSE_ERROR),
        (b"\xff", PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": NaN, "method": "ping"}', PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1' + b"0" * 5000 + b', "method": "ping"}', PARSE_ERROR),
        (b"[" * 100_000, PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "method": "tools/call"}', PARSE_ERROR),
        (json.dumps(call()).replace('"name"', '"name": "free", "name"').encode(), PARSE_ERROR),
        (json.dumps(call()).replace('"pages"', '"pages": 1, "pages"').encode(), PARSE_ERROR),
        (b"[]", INVALID_REQUEST),
        (json.dumps([call()]).encode(), INVALID_REQUEST),
        (b"1", INVALID_REQUEST),
        (b'{"id": 1, "method": "ping"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "ping"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 5}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": 1}}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "Method": "tools/call"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "result": 1, "error": 1}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "a"}}', INVALID_REQUEST),
        (json.dumps(call(name=None)).encode(), INVALID_REQUEST),
        (json.dumps(call(name="")).encode(), INVALID_REQUEST),
        (json.dumps(call(name="x" * 2000)).encode(), INVALID_REQUEST),
        (json.dumps(call(NAME="free")).encode(), INVALID_REQUEST),
        (json.dumps(call(arguments=[1])).encode(), INVALID_REQUEST),
    ],
)
def test_refused_messages(body, code):
    with pytest.raises(ProtocolError) as refusal:
        parse(body)
    assert refusal.value.code == code


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_a_message_or_refused(value):
    for payload in (
        value,
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": value},
        {"jsonrpc": "2.0", "id": value, "method": value},
    ):
        try:
            parsed(payload)
        except ProtocolError as refusal:
            assert refusal.code in (PARSE_ERROR, INVALID_REQUEST)


HEADERS = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "search"}


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("search", {}),
        ("Füße", {"mcp-name": f"=?base64?{base64.b64encode('Füße'.encode()).decode()}?="}),
        ("=?base64?a?=", {"mcp-name": f"=?base64?{base64.b64encode(b'=?base64?a?=').decode()}?="}),
    ],
)
def test_headers_that_mirror_the_body(name, headers):
    check_headers(parsed(call(name, _meta=META)), HEADERS | headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp-method": "ping"},
        {"mcp-method": None},
        {"mcp-name": "free"},
        {"mcp-name": None},
        {"mcp-name": "=?base64?%%?="},
        {"mcp-name": "=?base64?/w==?="},
        {"mcp-protocol-version": "2025-11-25"},
        {"mcp-protocol-version": None},
    ],
)
def test_headers_that_differ_from_the_body(headers):
    given_headers = {name: value for name, value in (HEADERS | headers).items() if value is not None}
    with pytest.raises(ProtocolError) as refusal:
        check_headers(parsed(call(_meta=META)), given_headers)
    assert (refusal.value.code, refusal.value.request_id) == (HEADER_MISMATCH, 1)


def test_earlier_revisions_need_no_mirrored_headers_but_may_not_contradict():
    message = parsed(call())
    check_headers(message, {"mcp-protocol-version": "2025-11-25"})
    check_headers(message, {})
    with pytest.raises(ProtocolError):
        check_headers(message, {"mcp-protocol-version": "2025-11-25", "mcp-name": "free"})
