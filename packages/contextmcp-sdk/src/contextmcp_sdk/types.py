"""The responses of the API. Amounts are in units of the feature. Times are aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

Kind = Literal["boolean", "gauge", "quota", "rate_limit"]
# Whether calls are refused or allowed while the service is unavailable. The catalog's `failure_mode` has the same values.
FailureMode = Literal["fail_closed", "fail_open"]


class Customer(Struct, frozen=True):
    """The customer that a request with a service key is for: the customer's own API key, or the ID of the organization.

    With both, calls that use quotas are made with the credential, so that they are counted for that key, and its scopes and its revocation
    apply. The usage of a call is recorded for the organization, because that must not fail when the key is revoked during the call.
    """

    credential: str | None = None
    organization_id: str | None = None

    def __post_init__(self) -> None:
        """Require exactly one of the two fields."""
        if self.credential is None and self.organization_id is None:
            raise ValueError("Name the customer by credential or by organization_id.")

    def __repr__(self) -> str:
        """Return a representation without the credential, which would appear in logs and tracebacks."""
        return f"Customer(organization_id={self.organization_id!r})" if self.organization_id else "Customer(credential=...)"


class AuthorizedItem(Struct, rename="camel"):
    """The result for one feature of an authorized request. A limit of None is unlimited."""

    feature: str
    kind: Kind | None
    amount: int
    # Units used or in use, including this request if it was recorded.
    used: int | None = None
    limit: int | None = None
    remaining: int | None = None
    overage: int = 0
    resets_at: datetime | None = None


class HoldReference(Struct, rename="camel"):
    """The hold that a request has opened."""

    id: str
    expires_at: datetime


class Authorized(Struct, rename="camel"):
    """A request that is allowed. The fields of a single feature are None if several were requested; `items` has them."""

    allowed: bool
    # False: allowed while the service or its database was unavailable, and not counted.
    recorded: bool
    feature: str | None = None
    kind: Kind | None = None
    amount: int | None = None
    used: int | None = None
    limit: int | None = None
    remaining: int | None = None
    overage: int | None = None
    resets_at: datetime | None = None
    hold: HoldReference | None = None
    items: list[AuthorizedItem] = []
    # True: the service could not be reached, and the client's failure mode allowed the call.
    decided_locally: bool = False


class Decision(Struct, rename="camel"):
    """What `authorize` would decide."""

    allowed: bool
    feature: str
    amount: int
    plan: str
    code: str | None = None
    detail: str | None = None
    kind: Kind | None = None
    # Units used or in use, without this request.
    used: int | None = None
    limit: int | None = None
    remaining: int | None = None
    overage: int | None = None
    resets_at: datetime | None = None
    # Seconds.
    retry_after: int | None = None
    upgrade_url: str | None = None
    # True: the service could not be reached, and the client's failure mode allowed the call.
    decided_locally: bool = False


class UsageEvent(Struct, rename="camel", omit_defaults=True):
    """Usage that has already happened, or a correction with a negative amount and a reason. `occurred_at` must be aware."""

    feature: str
    amount: int = 1
    # The same key counts once, however often it is sent.
    idempotency_key: str | None = None
    occurred_at: datetime | None = None
    reason: str | None = None
    properties: dict[str, Any] | None = None
    credit: bool = False


class BufferedEvent(Struct, tag="event"):
    """An event that is stored on disk until it is sent.

    With `requested`, it repeats an `authorize` call whose response was lost and which may have been counted.
    """

    organization_id: str
    event: UsageEvent
    requested: bool = False


class BufferedSettlement(Struct, tag="settlement"):
    """A hold that is still to be settled."""

    organization_id: str
    hold_id: str
    amount: int
    tool: str = ""


BufferedRecord = BufferedEvent | BufferedSettlement


class EventResult(Struct, rename="camel"):
    """The result of one event: counted, counted before (`duplicate`), or refused with a code."""

    status: str
    code: str | None = None
    detail: str | None = None
    errors: list[dict[str, Any]] = []
    # For a correction: the amount subtracted, 0 or negative.
    applied: int | None = None


class EventsResult(Struct, rename="camel"):
    """The results of several events, in their order."""

    accepted: int
    duplicates: int
    refused: int
    results: list[EventResult]


class EndedHold(Struct, rename="camel"):
    """A hold that was settled, was released or has expired."""

    id: str
    feature: str
    state: Literal["settled", "released", "expired"]
    held: int
    settled: int


class FeatureUsage(Struct, rename="camel"):
    """The current usage of one feature. None for `included` and `remaining` means unlimited."""

    feature: str
    kind: Kind
    used: int | None
    held: int
    included: int | None
    remaining: int | None
    overage: int
    resets_at: datetime | None
    window_seconds: int | None
    credited: int = 0


class CurrentUsage(Struct, rename="camel"):
    """The current usage of all metered features."""

    organization_id: str
    plan: str
    period_start: datetime
    period_end: datetime
    usage: list[FeatureUsage]


class OveragePrice(Struct, rename="camel"):
    """The price of a unit beyond the limit, in minor units of the currency."""

    unit_amount: int
    currency: str


class FeatureEntitlement(Struct, rename="camel"):
    """What the plan includes of one feature. A limit of None is unlimited, or the feature is boolean."""

    kind: Kind
    enabled: bool
    limit: int | None
    failure_mode: FailureMode = "fail_closed"
    overridden: bool = False
    overage: OveragePrice | None = None


class Entitlements(Struct, rename="camel"):
    """What the customer's plan includes."""

    organization_id: str
    active: bool
    plan: str
    plan_version: int
    plan_title: str
    source: str
    anchor: datetime
    changes_at: datetime | None
    lapsed_plan: str | None
    features: Mapping[str, FeatureEntitlement]


class EntitlementsToken(Struct, rename="camel"):
    """Signed entitlements; `contextmcp_sdk.entitlements_token` verifies them."""

    token: str
    expires_at: datetime
    grace_until: datetime
