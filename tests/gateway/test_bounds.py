"""Servers that send too much or never stop, and clients that leave: memory stays bounded, and nothing is left open."""

import psutil
import pytest

from tests.gateway.conftest import McpClient
from tests.gateway.test_charging import used
from tests.support.workers import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
# An answer may have 16 MiB, and is copied a few times while it is read.
MAX_GROWTH = 100 * 2**20
CALLS = 3


def processes(gateway):
    parent = psutil.Process(gateway.process.pid)
    return [parent, *parent.children(recursive=True)]


def memory(gateway):
    return sum(process.memory_info().rss for process in processes(gateway))


def connections(gateway, port):
    return sum(sum(bool(one.raddr) and one.raddr.port == port for one in process.net_connections()) for process in processes(gateway))


def test_what_never_ends_is_bounded_and_leaves_nothing(gateway, client: McpClient, organization, upstream):
    assert "result" in client.call("succeed")
    before, cancelled = memory(gateway), client.upstream_state()["cancelled"]
    for _ in range(CALLS):
        for tool in ("send_too_much", "send_too_much_in_stream"):
            assert client.call(tool)["error"]["code"] == -32012
        message = client.message("tools/call", {"name": "stream_forever", "arguments": {}})
        headers = client.headers("tools/call", "stream_forever")
        with client.http.stream("POST", client.url, json=message, headers=headers) as answer:
            received = 0
            for piece in answer.iter_bytes():
                received += len(piece)
                if received > 20 * 2**20:
                    break
    until(lambda: client.upstream_state()["cancelled"] - cancelled >= CALLS, "the server learned that its clients left")
    assert memory(gateway) - before < MAX_GROWTH
    # One of each connection that is kept for the next call.
    assert connections(gateway, upstream.port) <= 2
    assert used(organization) == 1
