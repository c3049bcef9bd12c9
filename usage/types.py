"""Commands, line items and results of the metering core. Plain structs, no I/O."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from contextmcp.common.errors import DomainError
from entitlements.periods import Period
from entitlements.types import FeatureEntitlement, Kind

from .models.summaries import NO_KEY, NO_MEMBER

__all__ = ["KEYLESS", "NO_KEY", "NO_MEMBER", "Kind", "Period"]

KEYLESS = NO_KEY.bytes

MAX_AMOUNT = 1_000_000_000
MAX_ITEMS = 20
# The maximum length of a tool name in revision 2025-11-25 of the Model Context Protocol.
MAX_TOOL_NAME_LENGTH = 128


class UsageSubject(Struct, frozen=True):
    """The organization, API key and member that usage is counted for. Without a key or member they are KEYLESS and NO_MEMBER.

    Here and in all lookups of a decision, IDs are the 16 bytes of UUIDs, because UUID objects are hashed and compared by slow Python code.
    With `connected_app`, `key` is the ID of a connected app (an OAuth grant) and not of an API key.
    """

    organization: bytes
    key: bytes = KEYLESS
    member: int = NO_MEMBER
    connected_app: bool = False

    @classmethod
    def of(cls, organization: UUID, key: UUID = NO_KEY, member: int = NO_MEMBER, *, connected_app: bool = False) -> "UsageSubject":
        """Build a subject from UUIDs and a user ID."""
        return cls(organization.bytes, key.bytes, member, connected_app)

    @property
    def organization_id(self) -> UUID:
        """Return the organization's ID as a UUID."""
        return UUID(bytes=self.organization)


class ServiceContext(Struct, frozen=True):
    """The service key that acts for an organization, and the ID and address of its request. Audit events of corrections contain them."""

    service_key: UUID
    request_id: str = ""
    address: str | None = None


class Item(Struct, frozen=True):
    """A requested feature and amount in units."""

    feature: str
    amount: int = 1


class Quota(Struct):
    """Use `amount` units of a period's quota."""

    feature: str
    amount: int
    entitlement: FeatureEntitlement
    period: Period


class Gauge(Struct):
    """Increase a gauge by `amount` units. With `derived_value`, the value is calculated elsewhere and nothing is written."""

    feature: str
    amount: int
    limit: int | None
    derived_value: int | None = None
    failure_mode: str = "fail_closed"


class GaugeDecrease(Struct):
    """Decrease a gauge by `amount` units."""

    feature: str
    amount: int
    limit: int | None
    failure_mode: str = "fail_closed"


class Rate(Struct):
    """Use `amount` units of a rate limit's window. `used` and `resets_at` are set when the rate has been acquired."""

    feature: str
    amount: int
    limit: int | None
    failure_mode: str
    used: int | None = None
    resets_at: datetime | None = None


class Flag(Struct):
    """A boolean feature that the plan includes. Nothing is counted."""

    feature: str
    amount: int = 1


# Organization, feature and start of the period.
CounterKey = tuple[bytes, str, datetime]
LineItem = Quota | Gauge | GaugeDecrease | Rate | Flag
# A tuple, because a union type would be built again by each call of `isinstance`.
_DURABLE = (Quota, Gauge, GaugeDecrease)


class NewHold(Struct, frozen=True):
    """A hold to create: the amount is reserved until `expires_at` (real time) instead of counted."""

    id: UUID
    expires_at: datetime


class AuthorizeCommand(Struct):
    """An `authorize` request: all items or none. `at` is the organization's time."""

    subject: UsageSubject
    at: datetime
    items: list[LineItem]
    single: bool
    fingerprint: bytes
    digest: bytes | None = None
    hold: NewHold | None = None
    service: ServiceContext | None = None
    # The MCP tool that is charged, or empty. A hold records it when it is settled.
    tool: str = ""

    @property
    def durable(self) -> bool:
        """Return whether the decision needs PostgreSQL."""
        return self.digest is not None or any(isinstance(item, _DURABLE) for item in self.items)


class Event(Struct, gc=False):
    """Usage that has already happened and is counted regardless of limits.

    `occurred_at` is in microseconds since 2000-01-01 UTC, PostgreSQL's own format, because datetimes are slow to encode and to round.
    """

    feature: str
    amount: int
    occurred_at: int
    fingerprint: bytes
    period: Period
    digest: bytes | None = None
    reason: str = ""
    properties: str = ""
    # If true, the negative amount increases the allowance of the period instead of correcting usage.
    credit: bool = False


class EventBatch(Struct):
    """Events of one caller, recorded together."""

    subject: UsageSubject
    events: list[Event]
    service: ServiceContext | None = None


class SettleHold(Struct):
    """Settle a hold with the actual amount, or release it if `amount` is None. `feature` and `period` are those of the hold."""

    subject: UsageSubject
    hold_id: UUID
    feature: str
    period: Period
    amount: int | None
    service: ServiceContext | None = None
    tool: str = ""


class SetGauge(Struct):
    """Set a gauge to `value` units in use, whatever its `limit` is."""

    subject: UsageSubject
    feature: str
    value: int
    limit: int | None
    service: ServiceContext | None = None


class SpooledItem(Struct, frozen=True):
    """One item of a spooled authorization. `period` is None for a gauge."""

    feature: str
    amount: int
    period: Period | None


class SpooledAuthorization(Struct):
    """An `authorize` request that was granted during an outage. It is counted once, under its key, regardless of limits."""

    subject: UsageSubject
    at: datetime
    items: list[SpooledItem]
    fingerprint: bytes
    digest: bytes
    answer: str


Command = AuthorizeCommand | EventBatch | SettleHold | SetGauge | SpooledAuthorization


class ItemResult(Struct, rename="camel"):
    """The result of one item, in units.

    `limit` and `remaining` are None for unlimited and boolean features. `resets_at` is None if waiting does not help.
    """

    feature: str
    kind: Kind
    amount: int
    used: int | None = None
    limit: int | None = None
    remaining: int | None = None
    overage: int = 0
    resets_at: datetime | None = None


class HoldResult(Struct, rename="camel"):
    """The hold that a response created."""

    id: UUID
    expires_at: datetime


class AuthorizeResult(Struct, rename="camel"):
    """The response to a granted request for one feature."""

    allowed: bool
    recorded: bool
    feature: str
    kind: Kind
    amount: int
    used: int | None
    limit: int | None
    remaining: int | None
    overage: int
    resets_at: datetime | None
    hold: HoldResult | UnsetType = UNSET


class AuthorizeManyResult(Struct, rename="camel"):
    """The response to a granted request for several features."""

    allowed: bool
    recorded: bool
    items: list[ItemResult]


class EventStatus(StrEnum):
    """The status of an event's result."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


class EventResult(NamedTuple):
    """The result of an event: the error if it was refused, or the amount an accepted correction subtracted (0 or negative)."""

    status: EventStatus
    error: DomainError | None = None
    applied: int | None = None
