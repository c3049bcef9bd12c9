"""Charge tool calls: reserve what a call may cost, then settle or release it. The adapters for MCP servers share this.

A call that carries the same idempotency key, tool and arguments as an earlier one is charged once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from .async_client import AsyncClient
from .denials import Denial, denial_of
from .errors import ContextMCPError
from .operations import OUTAGES, Hold
from .pricing import Price, Pricing, reserved_amount, settled_amount
from .refusals import HoldAlreadyEnded, ToolNotAvailable, ValidationFailed
from .types import Customer, Entitlements, UsageEvent

log = logging.getLogger(__name__)
# The field of a call's `_meta` with the idempotency key. The gateway uses the same one.
IDEMPOTENCY_FIELD = "com.contextmcp/idempotencyKey"
MAX_KEY_LENGTH = 255
# How many released attempts a process remembers, so that a failed call that is repeated with its key gets a reservation of its own.
MAX_REMEMBERED = 10_000
# The service refuses other names.
MAX_TOOL_NAME_LENGTH = 128
_NOT_IN_TOOL_NAMES = re.compile(r"[^!-~]")
# How a call ended. `input_required`: the client repeats it with more input, and that call is charged.
Outcome = Literal["success", "tool_error", "protocol_error", "upstream_failure", "input_required", "cancelled"]


class Reservation(Struct, frozen=True):
    """The reservation of a call. Without a hold, there is nothing to settle: the feature is not counted."""

    price: Price
    hold: Hold | None = None
    # Identifies the call, if it carries an idempotency key.
    identity: str | None = None
    # The tool's name for reports.
    tool: str = ""


class ToolCharges:
    """Charges the tool calls of one server.

    Args:
        client: needs a service key with the scopes `usage:write` and `entitlements:read`.
        pricing: what each tool costs.
    """

    def __init__(self, client: AsyncClient, pricing: Pricing) -> None:
        self._client, self.pricing = client, pricing
        # The kinds of features are those of the catalog, so they are the same for all customers.
        self._kinds: dict[str, str] = {}
        self._released: OrderedDict[str, int] = OrderedDict()

    async def plan(self, customer: Customer | None) -> Entitlements | None:
        """Return the customer's entitlements for the list of tools, or None if they cannot be read: then the list is not restricted."""
        try:
            return await self._client.entitlements(customer=customer)
        except ContextMCPError as error:
            log.warning("all tools are listed, because the entitlements cannot be read: %s", error)
            return None

    async def reserve(
        self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any], customer: Customer | None
    ) -> Reservation | Denial | None:
        """Reserve what a call costs. Return None if it is free, and the response to the caller if it is refused."""
        price = self.pricing.price_of(tool)
        if price == "free":
            return None
        try:
            if not isinstance(price, Price):
                raise ToolNotAvailable.locally()
            return await self._reserve(price, tool, arguments, meta, customer)
        except ContextMCPError as error:
            return denial_of(error)

    async def finish(self, reservation: Reservation | None, outcome: Outcome, meta: Mapping[str, Any]) -> None:
        """Settle or release the reservation. A failure of the service here never fails the call: it is logged."""
        if reservation is None or reservation.hold is None:
            return
        hold = reservation.hold
        amount = charged_amount(reservation.price, hold.amount, outcome, meta)
        try:
            if amount is None:
                self._remember_release(reservation.identity)
                await self._client.release_hold(hold)
            else:
                await self._client.settle_hold(hold, amount, tool=reservation.tool)
        except HoldAlreadyEnded as refusal:
            if amount is not None and refusal.problem.get("state") == "released":
                await self._charge_without_hold(reservation, hold, amount)
        except ContextMCPError as error:
            log.error("the hold %s could not be ended and expires: %s", hold.authorized.hold, error)

    async def _reserve(
        self, price: Price, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any], customer: Customer | None
    ) -> Reservation:
        amount = reserved_amount(price, arguments)
        key = _idempotency_key(meta)
        if price.rate is not None:
            await self._client.authorize(price.rate, customer=customer)
        if await self._kind(price.feature, customer) != "quota":
            await self._client.authorize(price.feature, amount, customer=customer)
            return Reservation(price)
        identity = None if key is None else _call_identity(self.pricing.name, tool, arguments, key)
        attempt = None if identity is None else f"mcp:{identity}:{self._released.get(identity, 0) + 1}"
        hold = await self._client.open_hold(price.feature, amount, seconds=price.hold_seconds, idempotency_key=attempt, customer=customer)
        return Reservation(price, hold, identity, _NOT_IN_TOOL_NAMES.sub("?", tool)[:MAX_TOOL_NAME_LENGTH])

    async def _kind(self, feature: str, customer: Customer | None) -> str:
        if feature not in self._kinds:
            try:
                entitlements = await self._client.entitlements(customer=customer)
            except OUTAGES:
                # The failure mode decides.
                return "quota"
            self._kinds = {name: entitlement.kind for name, entitlement in entitlements.features.items()}
        if feature not in self._kinds:
            log.error("the pricing file names the feature %r, which is not in the catalog", feature)
        return self._kinds.get(feature, "quota")

    async def _charge_without_hold(self, reservation: Reservation, hold: Hold, amount: int) -> None:
        """Charge a call that was repeated with its key after another process had released the key's hold."""
        key = f"mcp:{reservation.identity}:charge" if reservation.identity else hold.key
        try:
            await self._client.record_events([UsageEvent(hold.feature, amount, key)], customer=hold.customer)
        except ContextMCPError as error:
            log.error("a repeated call could not be charged: %s", error)

    def _remember_release(self, identity: str | None) -> None:
        if identity is not None:
            self._released[identity] = self._released.pop(identity, 0) + 1
            if len(self._released) > MAX_REMEMBERED:
                self._released.popitem(last=False)


def charged_amount(price: Price, reserved: int, outcome: Outcome, meta: Mapping[str, Any]) -> int | None:
    """Return the units to charge, or None to release the hold."""
    if outcome == "success":
        return settled_amount(price, reserved, meta)
    if outcome == "input_required":
        return None
    policies = {
        "tool_error": price.on_tool_error,
        "protocol_error": price.on_protocol_error,
        "upstream_failure": price.on_upstream_failure,
        "cancelled": price.on_cancel,
    }
    return reserved if policies[outcome] == "charge" else None


def _idempotency_key(meta: Mapping[str, Any]) -> str | None:
    key = meta.get(IDEMPOTENCY_FIELD)
    if key is None:
        return None
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_LENGTH:
        error = {"field": f"_meta.{IDEMPOTENCY_FIELD}", "message": f"Give a string of 1 to {MAX_KEY_LENGTH} characters."}
        raise ValidationFailed.locally(errors=[error])
    return key


def _call_identity(server: str, tool: str, arguments: Mapping[str, Any], key: str) -> str:
    """Return a digest of the call and its key. It covers the arguments, so that one key never makes other calls free."""
    call = [server, "tools/call", tool, arguments, key]
    return hashlib.sha256(json.dumps(call, sort_keys=True, default=str).encode()).hexdigest()
