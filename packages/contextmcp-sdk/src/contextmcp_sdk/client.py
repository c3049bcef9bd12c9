"""The synchronous client."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Concatenate, TypeVar

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


def blocking(operation: Callable[Concatenate[Settings, P], Exchange[T]]) -> Callable[Concatenate[Client, P], T]:
    """Return the operation as a method that blocks until it is done."""

    @functools.wraps(operation)
    def method(client: Client, /, *arguments: P.args, **options: P.kwargs) -> T:
        return client.run(operation(client, *arguments, **options))

    return method


class Client(ClientSettings):
    """A client that blocks. It is safe to use in several threads.

    `ClientOptions` describes the options; `http` is for proxies and tests.
    """

    def __init__(self, key: str | None = None, *, http: httpx.Client | None = None, **options: Unpack[ClientOptions]) -> None:
        super().__init__(key, **options)
        self._http = http or httpx.Client(timeout=self.timeout)

    authorize = blocking(operations.authorize)
    authorize_several = blocking(operations.authorize_several)
    check = blocking(operations.check)
    open_hold = blocking(operations.open_hold)
    settle_hold = blocking(operations.settle_hold)
    release_hold = blocking(operations.release_hold)
    settle_hold_by_id = blocking(operations.settle_hold_by_id)
    set_gauge = blocking(operations.set_gauge)
    decrease_gauge = blocking(operations.decrease_gauge)
    record_events = blocking(operations.record_events)
    current_usage = blocking(operations.current_usage)
    entitlements = blocking(operations.entitlements)
    entitlements_token = blocking(operations.entitlements_token)
    signing_keys = blocking(operations.signing_keys)

    @contextmanager
    def hold(
        self,
        feature: str,
        amount: int = 1,
        *,
        seconds: int = DEFAULT_HOLD_SECONDS,
        idempotency_key: str | None = None,
        customer: Customer | None = None,
    ) -> Iterator[Hold]:
        """Reserve units for the body of a `with` statement.

        The body may call `settle_hold` or `release_hold`. Otherwise the hold is settled for its full amount when the body completes, or
        released if the body raises an exception. Raises what `open_hold` and `settle_hold` raise.
        """
        hold = self.open_hold(feature, amount, seconds=seconds, idempotency_key=idempotency_key, customer=customer)
        try:
            yield hold
        except BaseException:
            if not hold.is_ended:
                # If the release fails, the hold expires by itself. The exception of the body is more informative.
                with suppress(ContextMCPError):
                    self.release_hold(hold)
            raise
        if not hold.is_ended:
            self.settle_hold(hold)

    def run(self, exchange: Exchange[T]) -> T:
        """Run an operation to its end."""
        outcome: Response | NoResponse | None = None
        try:
            while True:
                effect = exchange.send(outcome)
                outcome = None
                if isinstance(effect, Send):
                    outcome = self._send(effect)
                elif isinstance(effect, Sleep):
                    time.sleep(effect.seconds)
                else:
                    assert self.event_buffer is not None
                    self.event_buffer.append(effect.record)
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, send: Send) -> Response | NoResponse:
        method, url, headers, body = self._http_request(send)
        try:
            return response_of(self._http.request(method, url, headers=headers, content=body))
        except httpx.TransportError as error:
            return no_response(error, self.url)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()
