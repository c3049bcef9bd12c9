"""The operations of the API, written once. Each is a generator that `Client` and `AsyncClient` drive (see `exchange`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol, TypeVar
from urllib.parse import quote
from uuid import uuid4

import msgspec
from msgspec import Struct

from .errors import ServiceUnreachable
from .exchange import Exchange, Request, Retries, Store, perform
from .refusals import Overloaded, TemporarilyUnavailable
from .types import (
    Authorized,
    AuthorizedItem,
    BufferedEvent,
    BufferedSettlement,
    CurrentUsage,
    Customer,
    Decision,
    EndedHold,
    Entitlements,
    EntitlementsToken,
    EventsResult,
    FailureMode,
    UsageEvent,
)

T = TypeVar("T")
DEFAULT_HOLD_SECONDS = 900
# The service, or a part that the decision needs, is unavailable. An error 500 is not included, because it would persist.
OUTAGES = (ServiceUnreachable, TemporarilyUnavailable, Overloaded)
_encode = msgspec.json.encode


class Settings(Protocol):
    """The settings of the client that the operations need."""

    key: str
    customer: Customer | None
    failure_mode: FailureMode
    retries: Retries

    @property
    def has_buffer(self) -> bool:
        """Whether records can be stored until the service can be reached."""


class Hold(Struct):
    """An open hold. It has no `reference` if the service was unavailable; then nothing is reserved."""

    feature: str
    amount: int
    customer: Customer | None
    authorized: Authorized
    key: str
    is_ended: bool = False


def authorize(
    settings: Settings, feature: str, amount: int = 1, *, idempotency_key: str | None = None, customer: Customer | None = None
) -> Exchange[Authorized]:
    """Record `amount` units of a feature if the plan, the rate limits and the quota allow it.

    Calls with the same `idempotency_key` are counted once. Without one the client generates one, so that its own retries are safe.

    Raises:
        Refusal: the subclass says why, for example `QuotaExceeded`, `RateLimited` or `FeatureNotAvailable`.
        ServiceUnreachable: the service is unavailable, and the failure mode is `fail_closed`.
    """
    return (yield from _authorize(settings, {"feature": feature, "amount": amount}, [(feature, amount)], idempotency_key, customer))


def authorize_several(
    settings: Settings, items: Mapping[str, int], *, idempotency_key: str | None = None, customer: Customer | None = None
) -> Exchange[Authorized]:
    """Record amounts of several features, all of them or none. `items` maps features to units. Raises the errors of `authorize`."""
    body = {"items": [{"feature": feature, "amount": amount} for feature, amount in items.items()]}
    return (yield from _authorize(settings, body, list(items.items()), idempotency_key, customer))


def open_hold(
    settings: Settings,
    feature: str,
    amount: int = 1,
    *,
    seconds: int = DEFAULT_HOLD_SECONDS,
    idempotency_key: str | None = None,
    customer: Customer | None = None,
) -> Exchange[Hold]:
    """Reserve units of a monthly quota. A hold that is neither settled nor released expires after `seconds`.

    Raises the errors of `authorize`. With the failure mode `fail_open`, the hold reserves nothing while the service is unavailable.
    """
    body = {"feature": feature, "amount": amount, "hold": True, "holdSeconds": seconds}
    key = idempotency_key or str(uuid4())
    request = Request("POST", "/api/usage/authorize", Authorized, _encode(body), key, is_on_gate=True)
    try:
        authorized = yield from _send(settings, request, customer)
    except OUTAGES:
        if settings.failure_mode == "fail_closed":
            raise
        authorized = Authorized(allowed=True, recorded=False, feature=feature, amount=amount, decided_locally=True)
    return Hold(feature, amount, customer or settings.customer, authorized, key)


def settle_hold(settings: Settings, hold: Hold, amount: int | None = None, *, tool: str = "") -> Exchange[EndedHold | None]:
    """Record the amount that was used, by default all that was held, and end the hold. Needs a service key.

    `tool` is the MCP tool that used the units, for reports: at most 128 ASCII characters without spaces.

    Returns None if the service is unavailable and the settlement waits in the event buffer, or if nothing was reserved.

    Raises:
        HoldAlreadyEnded: it was settled with another amount or released.
        ServiceUnreachable, TemporarilyUnavailable: the service is unavailable, and there is no event buffer.
    """
    used = hold.amount if amount is None else amount
    hold.is_ended = True
    reference = hold.authorized.hold
    if reference is None:
        if used and hold.authorized.decided_locally:
            yield from _store_event(settings, hold.customer, hold.feature, used, hold.key)
        return None
    path = f"/api/usage/holds/{reference.id}/settle"
    request = Request("POST", path, EndedHold, _settlement(used, tool), is_on_gate=True, names_organization=True)
    try:
        return (yield from _send(settings, request, hold.customer))
    except OUTAGES:
        organization = _organization(hold.customer)
        if not settings.has_buffer or organization is None:
            raise
        yield Store(BufferedSettlement(organization, reference.id, used, tool))
        return None


def release_hold(settings: Settings, hold: Hold) -> Exchange[EndedHold | None]:
    """End a hold without recording anything. Needs a service key. Returns None if nothing was reserved.

    Raises:
        HoldAlreadyEnded: it was settled.
        ServiceUnreachable, TemporarilyUnavailable: the service is unavailable. The hold expires by itself.
    """
    hold.is_ended = True
    reference = hold.authorized.hold
    if reference is None:
        return None
    path = f"/api/usage/holds/{reference.id}/release"
    request = Request("POST", path, EndedHold, b"{}", is_on_gate=True, names_organization=True)
    return (yield from _send(settings, request, hold.customer))


def settle_hold_by_id(
    settings: Settings, hold_id: str, amount: int, *, tool: str = "", customer: Customer | None = None
) -> Exchange[EndedHold]:
    """Settle a hold that another process has opened. Needs a service key. Raises `HoldAlreadyEnded`, `NotFound` or another refusal."""
    path = f"/api/usage/holds/{hold_id}/settle"
    request = Request("POST", path, EndedHold, _settlement(amount, tool), is_on_gate=True, names_organization=True)
    return (yield from _send(settings, request, customer))


def _settlement(amount: int, tool: str) -> bytes:
    return _encode({"amount": amount, "tool": tool} if tool else {"amount": amount})


def set_gauge(settings: Settings, feature: str, value: int, *, customer: Customer | None = None) -> Exchange[AuthorizedItem]:
    """Set the units of a gauge that are in use, even above its limit. Needs a service key."""
    request = Request("PUT", f"/api/usage/gauges/{quote(feature, safe='')}", AuthorizedItem, _encode({"value": value}))
    return (yield from _send(settings, request, customer))


def decrease_gauge(
    settings: Settings, feature: str, amount: int = 1, *, idempotency_key: str | None = None, customer: Customer | None = None
) -> Exchange[Authorized]:
    """Release units of a gauge. Needs a service key. Raises `ReleaseExceedsUsage` if less is in use."""
    path, key = f"/api/usage/gauges/{quote(feature, safe='')}/release", idempotency_key or str(uuid4())
    return (yield from _send(settings, Request("POST", path, Authorized, _encode({"amount": amount}), key), customer))


def check(settings: Settings, feature: str, amount: int = 1, *, customer: Customer | None = None) -> Exchange[Decision]:
    """Return what `authorize` would decide, and record nothing."""
    request = Request("POST", "/api/entitlements/check", Decision, _encode({"feature": feature, "amount": amount}), is_on_gate=True)
    try:
        return (yield from _send(settings, request, customer))
    except OUTAGES:
        if settings.failure_mode == "fail_closed":
            raise
        return Decision(True, feature, amount, "", decided_locally=True)


def record_events(settings: Settings, events: Iterable[UsageEvent], *, customer: Customer | None = None) -> Exchange[EventsResult]:
    """Record usage that has already happened. Needs a service key. At most 1,000 events.

    Events without an idempotency key get one, so that repetitions are safe. An event that is refused does not affect the others.
    """
    keyed = [event if event.idempotency_key else msgspec.structs.replace(event, idempotency_key=str(uuid4())) for event in events]
    body = _encode({"events": keyed})
    request = Request("POST", "/api/usage/events", EventsResult, body, is_on_gate=True, names_organization=True)
    return (yield from _send(settings, request, customer))


def current_usage(settings: Settings, *, customer: Customer | None = None) -> Exchange[CurrentUsage]:
    """Return the current usage of each quota, gauge and rate limit."""
    return (yield from _send(settings, Request("GET", "/api/usage/current", CurrentUsage, is_on_gate=True), customer))


def entitlements(settings: Settings, *, customer: Customer | None = None) -> Exchange[Entitlements]:
    """Return what the customer's plan includes."""
    return (yield from _send(settings, Request("GET", "/api/entitlements", Entitlements), customer))


def entitlements_token(settings: Settings, *, customer: Customer | None = None) -> Exchange[EntitlementsToken]:
    """Return the entitlements as a signed document. Raises `SigningNotConfigured` if the service has no key."""
    return (yield from _send(settings, Request("GET", "/api/entitlements/token", EntitlementsToken), customer))


def signing_keys(settings: Settings) -> Exchange[dict[str, Any]]:
    """Return the public keys of the service as a JWK set (RFC 7517)."""
    return (yield from _send(settings, Request("GET", "/.well-known/jwks.json", dict[str, Any]), None))


def _authorize(
    settings: Settings,
    body: Mapping[str, Any],
    items: Sequence[tuple[str, int]],
    idempotency_key: str | None,
    customer: Customer | None,
) -> Exchange[Authorized]:
    key = idempotency_key or str(uuid4())
    request = Request("POST", "/api/usage/authorize", Authorized, _encode(body), key, is_on_gate=True)
    try:
        return (yield from _send(settings, request, customer))
    except OUTAGES:
        if settings.failure_mode == "fail_closed":
            raise
    is_single = "items" not in body
    is_stored = True
    for position, (feature, amount) in enumerate(items):
        event_key = key if is_single else f"{key}#{position}"
        is_stored = (yield from _store_event(settings, customer or settings.customer, feature, amount, event_key)) and is_stored
    return _allowed_locally(items, is_single=is_single, recorded=is_stored)


def _store_event(settings: Settings, customer: Customer | None, feature: str, amount: int, key: str) -> Exchange[bool]:
    """Store usage that the failure mode has allowed. Return whether it will be counted."""
    organization = _organization(customer)
    if not settings.has_buffer or organization is None:
        return False
    event = UsageEvent(feature, amount, key, datetime.now(timezone.utc))
    yield Store(BufferedEvent(organization, event, requested=True))
    return True


def _organization(customer: Customer | None) -> str | None:
    return None if customer is None else customer.organization_id


def _allowed_locally(items: Sequence[tuple[str, int]], *, is_single: bool, recorded: bool) -> Authorized:
    if is_single:
        feature, amount = items[0]
        return Authorized(allowed=True, recorded=recorded, feature=feature, amount=amount, decided_locally=True)
    results = [AuthorizedItem(feature, None, amount) for feature, amount in items]
    return Authorized(allowed=True, recorded=recorded, items=results, decided_locally=True)


def _send(settings: Settings, request: Request[T], customer: Customer | None) -> Exchange[T]:
    return (yield from perform(request, settings.key, customer or settings.customer, settings.retries))
