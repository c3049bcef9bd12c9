"""Whatever a client sends, the gateway answers, and never with a status of 500 or more."""

import http.client
import json
import random

import pytest

from tests.gateway.conftest import McpClient
from usage.models import UsageHold

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "succeed", "arguments": {}, "_meta": {"progressToken": "a"}}}
DEEP = 50_000
BODIES = [
    json.dumps([CALL, CALL]).encode(),
    json.dumps(CALL | {"id": 10**400}).encode(),
    json.dumps(CALL | {"id": "x" * 1_000_000}).encode(),
    json.dumps(CALL).replace('"id": 1', '"id": 1e999').encode(),
    json.dumps(CALL).replace('"id": 1', '"id": 1, "id": 1').encode(),
    json.dumps(CALL).replace('"name": "succeed"', '"name": "free_tool", "name": "succeed"').encode(),
    json.dumps(CALL).replace("{}", '{"a":' * DEEP + "1" + "}" * DEEP).encode(),
    json.dumps(CALL).replace("{}", "[" * DEEP + "]" * DEEP).encode(),
    json.dumps(CALL).replace('"succeed"', '"\\ud800"').encode(),
    json.dumps(CALL).replace('"succeed"', '"a\\u0000b"').encode(),
    json.dumps(CALL).encode("utf-16"),
    b"\xef\xbb\xbf" + json.dumps(CALL).encode(),
    json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": {"a": [None] * 1000}}}).encode(),
    json.dumps(
        CALL | {"params": {"name": "succeed", "arguments": None, "_meta": {"com.contextmcp/idempotencyKey": "\x00" * 300}}}
    ).encode(),
]
HEADERS = {
    "MCP-Protocol-Version": ["2026-07-28", "2025-11-25", "9999-99-99", "", "\xff", "2026-07-28, 2025-11-25"],
    "Mcp-Method": ["tools/call", "ping", "", "=?base64?%%?="],
    "Mcp-Name": ["succeed", "free_tool", "=?base64?/w==?=", "\xfc"],
    "Mcp-Session-Id": ["", "x" * 5000, "a:b:c", "\xff"],
    "Last-Event-ID": ["", "-1", "\xff" * 100],
    "Content-Type": ["application/json", "text/plain", "", "application/json; charset=utf-16"],
    "Accept": ["application/json, text/event-stream", "", "image/*"],
    "X-Request-Id": ["", "\xff", "x" * 1000],
    "Origin": ["null", "http://localhost:3003", "\xff"],
}


def mutate(body, chance):
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        kind = chance.randrange(3)
        if kind == 0:
            changed[place] = chance.randrange(256)
        elif kind == 1:
            del changed[place : place + chance.randint(1, 8)]
        else:
            changed[place:place] = chance.choice([b'"', b"{", b"[", b"null", b"\x00", b"1e400", b'"id":2,', b"\\ud800"])
        if not changed:
            return b"{"
    return bytes(changed)


def requests(chance, count):
    for body in BODIES:
        yield "POST", body, {"MCP-Protocol-Version": "2025-11-25"}
    for _ in range(count):
        headers = {name: chance.choice(values) for name, values in HEADERS.items() if chance.random() < 0.4}
        yield chance.choice(["POST"] * 8 + ["DELETE", "PUT"]), mutate(json.dumps(CALL).encode(), chance), headers


def test_no_request_is_answered_with_a_server_error(gateway, client: McpClient, organization):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    statuses = set()
    for method, body, headers in requests(random.Random(1), 300):
        connection.request(method, "/mcp", body, {"Authorization": f"Bearer {client.key}"} | headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 500, (method, body[:300], headers, text[:300])
        if answer.status >= 400 and answer.headers["content-type"] == "application/json":
            assert "error" in json.loads(text)
        statuses.add(answer.status)
    assert {200, 400, 403, 404, 405} <= statuses
    assert client.call("free_tool")["result"]["content"][0]["text"] == "done"
    # A message that was refused has reserved nothing.
    assert not UsageHold.objects.filter(organization=organization, state="expired").exists()
