"""Send one delivery attempt: a signed POST to an address that is checked at the time of the connection.

The host is resolved once, all its addresses are checked, and the connection is made to one of them, which prevents DNS rebinding. Redirects
are not followed, proxies are not used, and the response body is not read.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import httpcore
import httpx

from contextmcp.common import url_policy

from . import signing

TIMEOUT_SECONDS = 10.0
_PHASE_TIMEOUT_SECONDS = {"connect": 5.0, "read": 8.0, "write": 5.0, "pool": 5.0}
USER_AGENT = "ContextMCP-Webhooks/1.0"
GONE = 410


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """The data of an attempt, independent of the database."""

    url: str
    secrets: tuple[str, ...]
    message_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The HTTP status, or an error code. The code reveals nothing about internal networks."""

    status: int | None
    error: str = ""
    # Time until the response or the error; None if nothing was sent.
    milliseconds: int | None = None

    @property
    def succeeded(self) -> bool:
        """Return whether the endpoint answered with a 2xx status."""
        return self.status is not None and 200 <= self.status < 300


async def resolve(host: str, port: int) -> list[str]:
    """Return the distinct addresses of a host in the resolver's order."""
    entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """A network backend that connects only to addresses it has resolved and checked itself."""

    def __init__(self) -> None:
        self.inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        checked = url_policy.ensure_public(await resolve(host, port))
        for address in checked[:-1]:
            try:
                return await self.inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self.inner.connect_tcp(checked[-1], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        raise url_policy.AddressBlocked

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def send(attempt: DeliveryAttempt) -> DeliveryResult:
    """Send the attempt and return its result. Network errors and invalid responses are results, not exceptions."""
    started = time.monotonic()
    result = await _send(attempt)
    return replace(result, milliseconds=round((time.monotonic() - started) * 1000))


async def _send(attempt: DeliveryAttempt) -> DeliveryResult:
    try:
        return DeliveryResult(await asyncio.wait_for(_post(attempt), TIMEOUT_SECONDS))
    except url_policy.AddressBlocked:
        return DeliveryResult(None, "address_refused")
    except (TimeoutError, httpcore.TimeoutException):
        return DeliveryResult(None, "timeout")
    except (socket.gaierror, UnicodeError):
        return DeliveryResult(None, "unknown_host")
    except (httpcore.NetworkError, OSError) as error:
        return DeliveryResult(None, "tls_failed" if _is_tls(error) else "no_connection")
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol):
        return DeliveryResult(None, "bad_answer")


async def _post(attempt: DeliveryAttempt) -> int:
    # httpx parses the URL and httpcore connects to the parsed host, so the host that is checked is always the host that is called.
    url = httpx.URL(attempt.url)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    signature_headers = signing.headers(attempt.secrets, attempt.message_id, int(time.time()), attempt.body)
    base_headers = {
        "Host": url.netloc.decode(),
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
        "Content-Length": str(len(attempt.body)),
    }
    headers = [*base_headers.items(), *signature_headers.items()]
    async with (
        httpcore.AsyncConnectionPool(network_backend=CheckedBackend(), max_keepalive_connections=0) as pool,
        pool.stream("POST", target, headers=headers, content=attempt.body, extensions={"timeout": _PHASE_TIMEOUT_SECONDS}) as response,
    ):
        return int(response.status)


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
