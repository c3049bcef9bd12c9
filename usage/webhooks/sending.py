"""One attempt: a signed POST to an address that was checked at the moment it was called.

The name is resolved once, every address it has is checked, and the connection is made to one of those: what the name says a moment
later does not matter. No redirect is followed, no proxy asked, no byte of the answer's body read.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from . import addresses, signing

SECONDS = 10.0
_STEP_SECONDS = {"connect": 5.0, "read": 8.0, "write": 5.0, "pool": 5.0}
USER_AGENT = "ContextMCP-Webhooks/1.0"
GONE = 410


@dataclass(frozen=True, slots=True)
class Parcel:
    """Everything an attempt needs; no database behind it."""

    url: str
    secret: str
    message_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """`error` is one word; it says nothing of what is inside any network."""

    status: int | None
    error: str = ""

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, once each, in the resolver's order."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses it has checked itself, and to nothing else."""

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
        checked = addresses.require(await resolve(host, port))
        for address in checked[:-1]:
            try:
                return await self.inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self.inner.connect_tcp(checked[-1], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        raise addresses.Refused

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def send(parcel: Parcel) -> Result:
    """What came of it. Never raises for what the other side does."""
    try:
        return Result(await asyncio.wait_for(_post(parcel), SECONDS))
    except addresses.Refused:
        return Result(None, "address_refused")
    except (TimeoutError, httpcore.TimeoutException):
        return Result(None, "timeout")
    except (socket.gaierror, UnicodeError):
        return Result(None, "unknown_host")
    except (httpcore.NetworkError, OSError) as error:
        return Result(None, "tls_failed" if _is_tls(error) else "no_connection")
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol):
        return Result(None, "bad_answer")


async def _post(parcel: Parcel) -> int:
    # httpx reads an address, httpcore calls it: the host that is checked is the host that is called.
    url = httpx.URL(parcel.url)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    signed = signing.headers(parcel.secret, parcel.message_id, int(time.time()), parcel.body)
    plain = {
        "Host": url.netloc.decode(),
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
        "Content-Length": str(len(parcel.body)),
    }
    sent = [*plain.items(), *signed.items()]
    async with (
        httpcore.AsyncConnectionPool(network_backend=CheckedBackend(), max_keepalive_connections=0) as pool,
        pool.stream("POST", target, headers=sent, content=parcel.body, extensions={"timeout": _STEP_SECONDS}) as answer,
    ):
        return int(answer.status)


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
