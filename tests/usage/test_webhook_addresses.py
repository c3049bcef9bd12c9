"""Addresses that webhooks may be sent to, and the address that a delivery connects to."""

import asyncio

import httpcore
import pytest

from contextmcp.common import url_policy
from tests.support import webhook_receiver as receivers
from usage.webhooks import http_client, signing


def attempt(url):
    return asyncio.run(http_client.send(http_client.DeliveryAttempt(url, (signing.new_secret(),), "msg_1", b"{}")))


INSIDE = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.8.9.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.8 192.0.0.192
    192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 168.63.129.16
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1
    2001::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe:: 2002:a00:1:: 3fff::1 5f00::1 fc00::1 fd00:ec2::254
    fe80::1 fe80::1%eth0 fec0::1 ff02::1 x 1
"""


OUTSIDE = "1.1.1.1 8.8.8.8 93.184.215.14 172.32.0.1 2606:4700::1111 2a00:1450::1 64:ff9b::808:808 2002:808:808::"


@pytest.mark.parametrize("address", INSIDE.split())
def test_non_public_addresses_are_refused(address):
    assert not url_policy.is_public(address)


@pytest.mark.parametrize("address", OUTSIDE.split())
def test_public_addresses_are_accepted(address):
    assert url_policy.is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0"])
def test_private_addresses_are_refused_in_any_notation(host):
    with receivers.running() as inside:
        assert attempt(f"http://{host}:{inside.port}/").error == "address_refused"
        assert inside.requests == []


def dialled(monkeypatch, *answers):
    """Return the addresses to connect to if the resolver returns these results in turn."""
    calls, queue = [], list(answers)

    async def resolve(host, port):
        return queue.pop(0)

    async def connect(self, host, *rest):
        calls.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr(http_client, "resolve", resolve)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    return calls, queue


def test_a_rebound_name_is_called_at_the_checked_address(monkeypatch):
    calls, queue = dialled(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    assert attempt("https://rebinding.example/").error == "no_connection"
    assert (calls, queue) == (["93.184.215.14"], [["127.0.0.1"]])


def test_a_name_with_a_private_address_is_not_called(monkeypatch):
    calls, _ = dialled(monkeypatch, ["93.184.215.14", "10.0.0.1"])
    assert attempt("https://both.example/").error == "address_refused"
    assert calls == []


def test_every_checked_address_is_tried(monkeypatch):
    calls, _ = dialled(monkeypatch, ["93.184.215.14", "2606:4700::1111"])
    assert attempt("https://two.example/").error == "no_connection"
    assert calls == ["93.184.215.14", "2606:4700::1111"]
