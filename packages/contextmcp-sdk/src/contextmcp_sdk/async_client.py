"""The asynchronous client, for asyncio and Trio."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Concatenate, TypeVar

import anyio
import anyio.to_thread
import httpx
from typing_extensions import ParamSpec, Self, Unpack

from . import operations
from .client_settings import ClientOptions, ClientSettings, no_response, response_of
from .errors import ContextMCPError
from .exchange import Exchange, NoResponse, Response, Send, Sleep
from .operations import DEFAULT_HOLD_SECONDS, Hold, Settings
from .types import Customer

T = TypeVar("T")
P = ParamSpec("P")


def awaitable(operation: Callable[Concatenate[Settings, P], Exchange[T]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    """Return the operation as a method that is awaited."""

    @functools.wraps(operation)
    async def method(client: AsyncClient, /, *arguments: P.args, **options: P.kwargs) -> T:
        return await client.run(operation(client, *arguments, **options))

    return method


class AsyncClient(ClientSettings):
    """A client for an event loop. `ClientOptions` describes the options; `http` is for proxies and tests."""

    def __init__(self, key: str | None = None, *, http: httpx.AsyncClient | None = None, **options: Unpack[ClientOptions]) -> None:
        super().__init__(key, **options)
        self._http = http or httpx.AsyncClient(timeout=self.timeout)

    authorize = awaitable(operations.authorize)
    authorize_several = awaitable(operations.authorize_several)
    check = awaitable(operations.check)
    open_hold = awaitable(operations.open_hold)
    settle_hold = awaitable(operations.settle_hold)
    release_hold = awaitable(operations.release_hold)
    settle_hold_by_id = awaitable(operations.settle_hold_by_id)
    set_gauge = awaitable(operations.set_gauge)
    decrease_gauge = awaitable(operations.decrease_gauge)
    record_events = awaitable(operations.record_events)
    current_usage = awaitable(operations.current_usage)
    entitlements = awaitable(operations.entitlements)
    entitlements_token = awaitable(operations.entitlements_token)
    signing_keys = awaitable(operations.signing_keys)

    @asynccontextmanager
    async def hold(
        self,
        feature: str,
        amount: int = 1,
        *,
        seconds: int = DEFAULT_HOLD_SECONDS,
        idempotency_key: str | None = None,
        customer: Customer | None = None,
    ) -> AsyncIterator[Hold]:
        """Reserve units for the body of an `async with` statement. See `Client.hold`."""
        hold = await self.open_hold(feature, amount, seconds=seconds, idempotency_key=idempotency_key, customer=customer)
        try:
            yield hold
        except BaseException:
            if not hold.is_ended:
                # The hold is also released when the task is canceled. If that fails, the hold expires by itself, and the exception of the
                # body is more informative.
                with anyio.CancelScope(shield=True), suppress(ContextMCPError):
                    await self.release_hold(hold)
            raise
        if not hold.is_ended:
            await self.settle_hold(hold)

    async def run(self, exchange: Exchange[T]) -> T:
        """Run an operation to its end."""
        outcome: Response | NoResponse | None = None
        try:
            while True:
                effect = exchange.send(outcome)
                outcome = None
                if isinstance(effect, Send):
                    outcome = await self._send(effect)
                elif isinstance(effect, Sleep):
                    await anyio.sleep(effect.seconds)
                else:
                    assert self.event_buffer is not None
                    await anyio.to_thread.run_sync(self.event_buffer.append, effect.record)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _send(self, send: Send) -> Response | NoResponse:
        method, url, headers, body = self._http_request(send)
        try:
            return response_of(await self._http.request(method, url, headers=headers, content=body))
        except httpx.TransportError as error:
            return no_response(error, self.url)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()
