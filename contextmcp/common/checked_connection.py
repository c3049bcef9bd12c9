"""Connections to addresses that customers chose. The address is checked at connection time, and a deadline applies.

The host is resolved once, all its addresses are checked, and the connection is made to one of them, which prevents DNS rebinding. Redirects
and proxies are not followed, because the caller uses httpcore directly.
"""

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from . import url_policy

_PHASE_SECONDS = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


class DeadlineStream(httpcore.NetworkStream):
    """A connection with a deadline. Without it, a server that sends a byte each second would keep a thread for hours."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._limit(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._limit(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, self._limit(timeout)), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _limit(self, timeout: float | None) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("The server took too long.")
        return left if timeout is None else min(left, timeout)


class CheckedBackend(httpcore.NetworkBackend):
    """A network backend that connects only to addresses it has resolved and checked itself, until a deadline."""

    def __init__(self, deadline: float) -> None:
        self._inner, self._deadline = httpcore.SyncBackend(), deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = url_policy.ensure_public(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
        stream = self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)
        return DeadlineStream(stream, self._deadline)


def post(address: str, headers: dict[str, str], body: bytes, *, seconds: float) -> int:
    """Send a POST request and return the status of the response, whose body is not read. Blocks for at most `seconds`.

    Raises:
        url_policy.AddressBlocked: the host has an address that is not public.
        OSError, httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError: there is no response.
    """
    url = httpx.URL(address)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    named = {"Host": url.netloc.decode(), "Content-Length": str(len(body)), **headers}
    backend = CheckedBackend(time.monotonic() + seconds)
    with (
        httpcore.ConnectionPool(network_backend=backend, max_keepalive_connections=0) as pool,
        pool.stream("POST", target, headers=list(named.items()), content=body, extensions={"timeout": _PHASE_SECONDS}) as response,
    ):
        return int(response.status)
