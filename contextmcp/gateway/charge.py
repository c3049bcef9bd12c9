"""Reserve the maximum price of a call, and settle or release the reservation when the outcome is known.

A reservation is a hold (`usage.operations.holds`): its units count as used until it is settled or released, and it expires by itself if
this process dies. That makes exact limits possible without charging calls that fail.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec
from django.core.cache import cache
from msgspec import Struct

from contextmcp.common.errors import DomainError, IdempotencyConflict, ValidationFailed
from entitlements.manager import EntitlementsManager
from entitlements.types import Entitlements
from usage.authorize.requests import Request
from usage.decision.results import Authorized, CommandResult, HoldSettled
from usage.errors import HoldAlreadyEnded, TemporarilyUnavailable
from usage.operations import authorization, holds
from usage.operations.caller import UsageCaller, load_entitlements
from usage.operations.effects import CallDatabase, DatabaseUnreachable, Operation
from usage.store.holds import hold_state
from usage.types import MAX_TOOL_NAME_LENGTH, Command, Item, SettleHold

from . import metrics
from .errors import ToolNotAvailable
from .messages import Message
from .pricing import TOOL_CALL, Default, Outcome, Price, Server, reserved_amount, settled_amount
from .results import Response, ResponseKind

log = logging.getLogger(__name__)
T = TypeVar("T")
# In `_meta` of a request: calls with the same key are charged once.
IDEMPOTENCY_FIELD = "com.contextmcp/idempotencyKey"
MAX_KEY_LENGTH = 255
_NOT_IN_TOOL_NAMES = re.compile(r"[^!-~]")
# How often a call with the same key may fail and be retried.
MAX_ATTEMPTS = 50
# A settlement is tried again while PostgreSQL is unreachable, at most until the hold expires.
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 5.0
# How long settlements wait to be written together.
SETTLEMENT_SECONDS = 0.05


class Driver(Protocol):
    """Runs usage operations."""

    async def run(self, operation: Operation[T]) -> T:
        """Run an operation to its end."""
        ...

    def submit(self, command: Command) -> asyncio.Future[CommandResult]:
        """Return a future of the command's result."""
        ...


class Reservation(Struct, frozen=True):
    """The reservation of a call.

    Without a hold there is nothing to settle: the feature is not counted, or an earlier call with the same key was charged.
    """

    price: Price
    amount: int
    authorized: Authorized | None = None
    hold_id: UUID | None = None
    # Releases the hold. None for a hold of an earlier attempt, which has to be read first.
    release: SettleHold | None = None
    # The key of the next attempt, for a charge after the hold was lost.
    next_key: str | None = None
    # The name of the tool for reports.
    tool: str = ""


class _HeldResponse(Struct):
    hold: dict[str, Any] | None = None


class _Deferred(Struct, frozen=True):
    """The cached part of a reservation."""

    price: Price
    amount: int
    hold_id: UUID
    tool: str


class Charges:
    """Reserves and settles for the calls of one process.

    Settlements are collected for `SETTLEMENT_SECONDS` and share a transaction on a connection of their own, so that no reservation waits
    for them in a queue. A batch of reservations waits for them only if both need the same counter, for the rest of that transaction.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._pending: list[tuple[UsageCaller, Reservation, int | None]] = []
        self._settlements: set[asyncio.Future[Any]] = set()

    async def entitlements(self, caller: UsageCaller) -> Entitlements:
        """Return the entitlements of the caller's organization."""
        at = caller.now()
        cached = EntitlementsManager.cached(caller.organization_id, at)
        return cached if cached is not None else await self._driver.run(load_entitlements(caller, at))

    async def reserve(self, caller: UsageCaller, server: Server, message: Message) -> Reservation | None:
        """Reserve the price of the request. Returns None if it is free.

        Raises:
            ToolNotAvailable: the pricing file denies it.
            DomainError: the refusal of the plan, the rate limit or the quota.
        """
        price = server.price_of(message.method, message.name)
        if price is Default.FREE:
            return None
        if not isinstance(price, Price):
            raise ToolNotAvailable
        amount = reserved_amount(price, message.arguments)
        key = _idempotency_key(message.meta)
        items = [Item(price.feature, amount)]
        if price.rate is not None:
            # In one request, so that a call that the quota refuses does not use the rate limit.
            items.append(Item(price.rate))
        hold_seconds = price.hold_seconds if server.is_counted(price) else None
        request = Request(items, hold_seconds=hold_seconds, tool=_tool_label(server, message))
        if key is None:
            return await self._hold(caller, price, request)
        return await self._hold_once(caller, price, request, f"mcp:{_call_identity(server, message, key)}")

    def finish(self, caller: UsageCaller, reservation: Reservation, response: Response | None, *, cancelled: bool = False) -> None:
        """Settle or release the reservation in the background. `response` is None if the server failed or the client disconnected."""
        if reservation.hold_id is None:
            return
        if not self._pending:
            asyncio.get_running_loop().call_later(SETTLEMENT_SECONDS, self._settle_pending)
        self._pending.append((caller, reservation, _charged_amount(reservation, response, cancelled=cancelled)))

    async def defer(self, reservation: Reservation, call_key: str) -> None:
        """Keep a reservation whose response may come on another stream. Without a response, it expires.

        Any process may get the response, so the reservation is stored in the cache.
        """
        if reservation.hold_id is None:
            return
        deferred = msgspec.to_builtins(_Deferred(reservation.price, reservation.amount, reservation.hold_id, reservation.tool))
        try:
            await self._driver.run(_call(cache.set, _deferred_key(call_key), deferred, reservation.price.hold_seconds))
        except TemporarilyUnavailable:
            log.warning("hold %s could not be stored in the cache, so its deferred call will not be charged", reservation.hold_id)

    async def finish_deferred(self, caller: UsageCaller, call_key: str, response: Response) -> None:
        """Settle or release the reservation that `defer` kept, if there is one."""
        key = _deferred_key(call_key)
        try:
            stored = await self._driver.run(_call(cache.get, key))
            if stored is not None:
                await self._driver.run(_call(cache.delete, key))
        except TemporarilyUnavailable:
            return
        if stored is not None:
            deferred = msgspec.convert(stored, _Deferred)
            self.finish(caller, Reservation(deferred.price, deferred.amount, hold_id=deferred.hold_id, tool=deferred.tool), response)

    def _settle_pending(self) -> None:
        pending, self._pending = self._pending, []
        for caller, reservation, amount in pending:
            if reservation.release is None:
                self._start_ending(caller, reservation, amount)
                continue
            # Creating a task per settlement would take longer than the settlement itself.
            settlement = self._driver.submit(msgspec.structs.replace(reservation.release, amount=amount))
            self._settlements.add(settlement)
            settlement.add_done_callback(functools.partial(self._check_settlement, caller, reservation, amount))

    def _check_settlement(
        self, caller: UsageCaller, reservation: Reservation, amount: int | None, settlement: asyncio.Future[CommandResult]
    ) -> None:
        """Count a settlement that was written, or start a retry, which also handles refusals."""
        self._settlements.discard(settlement)
        if not settlement.cancelled() and settlement.exception() is None and isinstance(settlement.result(), HoldSettled):
            _count_settlement(amount)
        else:
            self._start_ending(caller, reservation, amount)

    def _start_ending(self, caller: UsageCaller, reservation: Reservation, amount: int | None) -> None:
        task = asyncio.create_task(self._end(caller, reservation, amount))
        self._settlements.add(task)
        task.add_done_callback(self._settlements.discard)

    async def drain(self) -> None:
        """Wait until every settlement is written."""
        self._settle_pending()
        while self._settlements:
            await asyncio.wait(self._settlements)

    async def _hold(self, caller: UsageCaller, price: Price, request: Request, key: str | None = None) -> Reservation:
        held = await self._driver.run(holds.hold(caller, request, key))
        hold_id = None if request.hold_seconds is None else held.release.hold_id if held.release else _hold_id(held.authorized)
        return Reservation(price, request.items[0].amount, held.authorized, hold_id, held.release, tool=request.tool)

    async def _hold_once(self, caller: UsageCaller, price: Price, request: Request, identity: str) -> Reservation:
        """Reserve for a call that carries an idempotency key.

        Each attempt has a key of its own: the identity and the attempt's number. If an attempt was released, the next one is used, so that
        a failed call can be repeated. If an attempt was settled, the repeated call is free.
        """
        for attempt in range(1, MAX_ATTEMPTS + 1):
            reservation = await self._hold(caller, price, request, f"{identity}:{attempt}")
            assert reservation.authorized is not None
            state = "held"
            if reservation.hold_id is not None and reservation.authorized.replayed:
                state = await self._driver.run(_call(hold_state, caller.organization_id, reservation.hold_id))
            if state == "settled":
                return msgspec.structs.replace(reservation, hold_id=None)
            if state == "held":
                return msgspec.structs.replace(reservation, next_key=f"{identity}:{attempt + 1}")
        raise IdempotencyConflict("Calls with this idempotency key have failed too often. Use another key.")

    async def _end(self, caller: UsageCaller, reservation: Reservation, amount: int | None) -> None:
        assert reservation.hold_id is not None
        delay, waited = FIRST_RETRY_SECONDS, 0.0
        while True:
            try:
                if reservation.release is not None:
                    await self._driver.run(holds.execute_settlement(reservation.release, amount))
                else:
                    await self._driver.run(holds.end_hold(caller, reservation.hold_id, amount, reservation.tool))
                break
            except TemporarilyUnavailable:
                if waited > reservation.price.hold_seconds:
                    log.error("a reservation could not be settled: %s", reservation.hold_id)
                    break
                await asyncio.sleep(delay)
                waited += delay
                delay = min(MAX_RETRY_SECONDS, delay * 2)
            except HoldAlreadyEnded:
                # The hold expired, or a concurrent call with the same key failed and released it.
                if amount:
                    await self._charge_without_hold(caller, reservation, amount)
                break
            except DomainError as refusal:
                log.warning("a reservation ended with %s: %s", refusal.code, reservation.hold_id)
                break
            except Exception:
                log.exception("a reservation could not be settled: %s", reservation.hold_id)
                break
        _count_settlement(amount)

    async def _charge_without_hold(self, caller: UsageCaller, reservation: Reservation, amount: int) -> None:
        try:
            request = Request([Item(reservation.price.feature, amount)], tool=reservation.tool)
            await self._driver.run(authorization.authorize(caller, request, reservation.next_key or f"mcp:{reservation.hold_id}"))
        except DomainError as refusal:
            log.warning("a call after its hold ended was not charged: %s %s", refusal.code, reservation.hold_id)


def _count_settlement(amount: int | None) -> None:
    metrics.count_settlement("released" if amount is None else "settled")


def _charged_amount(reservation: Reservation, response: Response | None, *, cancelled: bool) -> int | None:
    """Return the number of units to charge, or None to release the reservation."""
    price = reservation.price
    if response is None:
        policy = price.on_cancel if cancelled else price.on_upstream_failure
    elif response.kind is ResponseKind.SUCCESS:
        return settled_amount(price, reservation.amount, response.meta)
    elif response.kind is ResponseKind.INPUT_REQUIRED:
        return None
    else:
        policy = price.on_tool_error if response.kind is ResponseKind.TOOL_ERROR else price.on_protocol_error
    return reservation.amount if policy is Outcome.CHARGE else None


def _idempotency_key(meta: Mapping[str, Any]) -> str | None:
    key = meta.get(IDEMPOTENCY_FIELD)
    if key is None:
        return None
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_LENGTH:
        message = f"Give a string of 1 to {MAX_KEY_LENGTH} characters."
        raise ValidationFailed(errors=[{"field": f"_meta.{IDEMPOTENCY_FIELD}", "message": message}])
    return key


def _tool_label(server: Server, message: Message) -> str:
    """Return the tool's name for reports, with the server's if there are several. It is empty for prompts and resources."""
    if message.method != TOOL_CALL or message.name is None:
        return ""
    return report_name(f"{server.label_prefix}{message.name}")


def report_name(tool: str) -> str:
    """Return a tool's name as PostgreSQL can store it: at most 128 characters, and invalid characters are replaced."""
    return _NOT_IN_TOOL_NAMES.sub("?", tool)[:MAX_TOOL_NAME_LENGTH]


def _call_identity(server: Server, message: Message, key: str) -> str:
    """Return a digest of the call and its idempotency key. It covers the arguments, so that one key never makes other calls free."""
    call = [server.name, message.method, message.name, message.arguments, key]
    return hashlib.sha256(json.dumps(call, sort_keys=True).encode()).hexdigest()


def _deferred_key(call_key: str) -> str:
    return f"mcp-deferred:{hashlib.sha256(call_key.encode()).hexdigest()}"


def _hold_id(authorized: Authorized) -> UUID | None:
    held = msgspec.json.decode(authorized.body, type=_HeldResponse).hold
    return None if held is None else UUID(held["id"])


def _call(function: Callable[..., Any], *arguments: Any) -> Operation[Any]:
    """Call a function that uses the database. Raises `TemporarilyUnavailable` if PostgreSQL is unreachable."""
    try:
        result = yield CallDatabase(function, arguments)
    except DatabaseUnreachable:
        raise TemporarilyUnavailable(retry_after=1) from None
    return result
