"""Decide on the calls of a stdio server, and count those that succeeded.

Online, the service decides: it takes a unit of the rate limit and says what is left of the quota. Offline, the entitlements token and the
limits of this machine decide. Either way a successful call is written to the disk, and sent to the service as an `authorize` call with an
idempotency key, so that it counts once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct

from contextmcp_sdk.client import Client
from contextmcp_sdk.delivery import Delivery
from contextmcp_sdk.denials import Denial, denial_of
from contextmcp_sdk.entitlements_token import OfflineEntitlements
from contextmcp_sdk.errors import ContextMCPError, Refusal, ServiceUnreachable, refusal_of
from contextmcp_sdk.journal import Journal, JournalFull
from contextmcp_sdk.operations import OUTAGES
from contextmcp_sdk.pricing import Price, Pricing, reserved_amount
from contextmcp_sdk.refusals import (
    FeatureNotAvailable,
    LimitReached,
    OverageCapReached,
    PaymentRequired,
    PlanInactive,
    QuotaExceeded,
    TemporarilyUnavailable,
    ToolNotAvailable,
    ValidationFailed,
)
from contextmcp_sdk.types import Decision

from .local_limits import RateWindow, RemainingUnits
from .plan_cache import PlanCache

log = logging.getLogger(__name__)
# After the service did not respond, decisions are made locally for this many seconds, so that not every call waits for a timeout.
OFFLINE_SECONDS = 5.0
FIRST_RENEWAL_SECONDS = 10.0
# A count that is refused with one of these codes is not retried. The call has happened, so the refusal is logged.
_FINAL = (
    FeatureNotAvailable, LimitReached, OverageCapReached, PaymentRequired, PlanInactive, QuotaExceeded, ValidationFailed
)  # fmt: skip
UNKNOWN_PLAN = "The plan cannot be verified without a connection to the service. Connect to the internet, then try again."


class Count(Struct):
    """A successful call that the service has to count."""

    key: str
    feature: str
    amount: int


class Reservation(Struct, frozen=True):
    """Units that a running call may use. Other calls of this process cannot use them until the call ends."""

    price: Price
    amount: int
    key: str
    # False: the feature is boolean.
    is_counted: bool


_decode = msgspec.json.Decoder(Count).decode


class CallCharges:
    """Charges the calls of one stdio server to the plan of the key's organization. Safe to use in several threads."""

    def __init__(self, client: Client, pricing: Pricing, folder: Path) -> None:
        self._client, self._pricing = client, pricing
        self._journal = Journal(folder / "counts")
        self._plan = PlanCache(client, folder)
        self._rates, self._remaining = RateWindow(), RemainingUnits()
        # One decision is made at a time, so that two calls cannot both use the last unit.
        self._deciding = threading.Lock()
        # No count is sent between adding up the pending counts and receiving the remaining units from the service. Otherwise a count would
        # be subtracted twice, or not at all.
        self._counting = threading.Lock()
        # Running calls by their idempotency key. Calls that have ended and are not counted yet are in the journal.
        self._running: dict[str, Reservation] = {}
        self._running_lock = threading.Lock()
        # Keys that the service has counted, and that are still in the journal, because a file is removed as a whole.
        self._counted: set[str] = set()
        self._offline_until = 0.0
        self._delivery = Delivery(self._journal, self._deliver)
        self._delivery.start()

    def is_free(self, tool: str) -> bool:
        """Return whether calls of the tool cost nothing."""
        return self._pricing.price_of(tool) == "free"

    def reserve(self, tool: str, arguments: Mapping[str, Any]) -> Reservation | Denial:
        """Return a reservation if the call may run, otherwise the response to the client. Call it only for tools that are not free."""
        price = self._pricing.price_of(tool)
        try:
            if not isinstance(price, Price):
                raise ToolNotAvailable.locally()
            amount = reserved_amount(price, arguments)
            with self._deciding:
                kind = self._decide(price, amount)
                reservation = Reservation(price, amount, str(uuid4()), is_counted=kind != "boolean")
                with self._running_lock:
                    self._running[reservation.key] = reservation
            return reservation
        except ContextMCPError as error:
            return denial_of(error)

    def finish(self, reservation: Reservation, amount: int | None) -> None:
        """Count `amount` units for a call that has ended, or none. Returns when the count is on disk."""
        with self._running_lock:
            try:
                if amount and reservation.is_counted:
                    self._journal.append(msgspec.json.encode(Count(reservation.key, reservation.price.feature, amount)))
            except (JournalFull, OSError) as error:
                log.error("a call could not be written to the disk and is not counted: %s", error)
            self._running.pop(reservation.key, None)
        self._delivery.notify()

    def close(self) -> None:
        """Try for a few seconds to send the remaining counts. The rest is sent when the server runs again."""
        self._plan.close()
        self._delivery.close()

    def _decide(self, price: Price, amount: int) -> str:
        """Return the kind of the price's feature, or raise the refusal."""
        if time.monotonic() >= self._offline_until:
            try:
                return self._decide_online(price, amount)
            except OUTAGES as error:
                log.warning("deciding without the service: %s", error)
                self._offline_until = time.monotonic() + OFFLINE_SECONDS
        entitlements = self._plan.usable(wait=FIRST_RENEWAL_SECONDS)
        if entitlements is None:
            raise TemporarilyUnavailable.locally(detail=UNKNOWN_PLAN)
        return self._decide_offline(entitlements, price, amount)

    def _decide_online(self, price: Price, amount: int) -> str:
        if price.rate is not None:
            self._client.authorize(price.rate)
        with self._counting:
            # The remaining units of the plan and of its overage must cover the pending units as well as this call.
            pending = self._pending_units(price.feature)
            decision = self._client.check(price.feature, amount + pending)
        if not decision.allowed:
            raise _refusal(decision, amount, pending)
        if decision.kind == "quota":
            self._remaining.learn(price.feature, decision.remaining, decision.resets_at)
        return decision.kind or "quota"

    def _decide_offline(self, entitlements: OfflineEntitlements, price: Price, amount: int) -> str:
        feature = entitlements.require(price.feature)
        if price.rate is not None:
            rate = entitlements.require(price.rate)
            self._rates.acquire(price.rate, rate.limit, rate.window_seconds or 60)
        if feature.kind == "quota":
            at = datetime.now(timezone.utc)
            self._remaining.require(entitlements, price.feature, amount, self._pending_units(price.feature), at)
        return feature.kind

    def _pending_units(self, feature: str) -> int:
        """Return the units of running calls, and of those that the service has not counted yet."""
        with self._running_lock:
            units = sum(each.amount for each in self._running.values() if each.is_counted and each.price.feature == feature)
            lines = list(self._journal.lines())
        for line in lines:
            # A line that cannot be read is rejected when it is delivered.
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                count = _decode(line)
                if count.feature == feature and count.key not in self._counted:
                    units += count.amount
        return units

    def _deliver(self, lines: Sequence[bytes]) -> dict[int, str]:
        rejected = {}
        counts: dict[int, Count] = {}
        for position, line in enumerate(lines):
            try:
                counts[position] = _decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                rejected[position] = f"damaged: {error}"
        with self._counting:
            # Forget keys whose files were removed.
            self._counted &= {count.key for count in counts.values()}
        for position, count in counts.items():
            with self._counting:
                if reason := self._count(count):
                    rejected[position] = reason
        return rejected

    def _count(self, count: Count) -> str | None:
        """Send a count to the service. Return the reason if it was rejected permanently. Raises `ContextMCPError` if it must be retried."""
        if count.key in self._counted:
            return None
        reason = None
        try:
            self._client.authorize(count.feature, count.amount, idempotency_key=count.key)
            self._remaining.counted(count.feature, count.amount)
        except _FINAL as refusal:
            reason = str(refusal)
        except ServiceUnreachable:
            self._offline_until = time.monotonic() + OFFLINE_SECONDS
            raise
        self._counted.add(count.key)
        return reason


def _refusal(decision: Decision, amount: int, pending: int) -> Refusal:
    """Return the refusal of a decision about `amount` and `pending` units. What is pending counts as used."""
    fields: dict[str, Any] = msgspec.to_builtins(decision) | {"amount": amount}
    if decision.used is not None and decision.remaining is not None:
        fields |= {"used": decision.used + pending, "remaining": max(0, decision.remaining - pending)}
    return refusal_of({name: value for name, value in fields.items() if value is not None})
