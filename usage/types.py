"""The words of counting, as plain values: what is asked, what was found, what is answered."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from entitlements.periods import Period
from entitlements.types import Allowance, Kind

from .models.summaries import NO_KEY, NOBODY

__all__ = ["KEYLESS", "NOBODY", "NO_KEY", "Kind", "Period"]

KEYLESS = NO_KEY.bytes

MOST_AT_ONCE = 1_000_000_000
MOST_ITEMS = 20


class Who(Struct, frozen=True):
    """On whose account something is counted. `key` and `member` are KEYLESS and NOBODY where there is none.

    Ids are the 16 bytes of their UUIDs, here and wherever a decision looks something up: UUID objects hash and compare in Python.
    """

    organization: bytes
    key: bytes = KEYLESS
    member: int = NOBODY

    @classmethod
    def of(cls, organization: UUID, key: UUID = NO_KEY, member: int = NOBODY) -> "Who":
        return cls(organization.bytes, key.bytes, member)

    @property
    def organization_id(self) -> UUID:
        return UUID(bytes=self.organization)


class Item(Struct, frozen=True):
    feature: str
    amount: int = 1


class Quota(Struct):
    """Take `amount` of a period's quota."""

    feature: str
    amount: int
    allowance: Allowance
    period: Period


class Level(Struct):
    """Take `amount` of a level. With `counted`, it is counted elsewhere and nothing is written."""

    feature: str
    amount: int
    limit: int | None
    counted: int | None = None
    on_outage: str = "refuse"


class GiveBack(Struct):
    """Return `amount` of a level."""

    feature: str
    amount: int
    limit: int | None
    on_outage: str = "refuse"


class Rate(Struct):
    """Take `amount` of what may be asked in a window."""

    feature: str
    amount: int
    limit: int | None
    on_outage: str
    used: int | None = None
    resets_at: datetime | None = None


class Flag(Struct):
    """Nothing to take: the plan has it."""

    feature: str
    amount: int = 1


# The organization, the feature and when the period began.
CounterKey = tuple[bytes, str, datetime]
Part = Quota | Level | GiveBack | Rate | Flag


class HoldFor(Struct, frozen=True):
    """Reserve instead of counting, until `expires_at` (real time)."""

    id: UUID
    expires_at: datetime


class Ask(Struct):
    """One `authorize`: every part or none. `at` is the organization's time."""

    who: Who
    at: datetime
    parts: list[Part]
    single: bool
    fingerprint: bytes
    digest: bytes | None = None
    hold: HoldFor | None = None

    @property
    def durable(self) -> bool:
        """Whether Postgres has a say in it."""
        return self.digest is not None or any(isinstance(part, Quota | Level | GiveBack) for part in self.parts)


class Event(Struct, gc=False):
    """Something that happened and is to be counted, whatever the limit. `period` is None where the meter has no quota.

    `occurred_at` is in microseconds since 2000, as Postgres counts them: a datetime is slow to print and to round.
    """

    feature: str
    amount: int
    occurred_at: int
    fingerprint: bytes
    digest: bytes | None = None
    reason: str = ""
    properties: str = ""
    period: Period | None = None


class Report(Struct):
    """Events of one caller, to be counted together."""

    who: Who
    events: list[Event]


class Settlement(Struct):
    """The true amount of a hold; None gives it back. `feature` and `period` are the hold's."""

    who: Who
    hold_id: UUID
    feature: str
    period: Period
    amount: int | None


class Taken(Struct, frozen=True):
    """`period` of None: a level's."""

    feature: str
    amount: int
    period: Period | None


class Kept(Struct):
    """An `authorize` that was granted while Postgres was away and lay in a spool since: counted whatever the limit, once under its key."""

    who: Who
    at: datetime
    takes: list[Taken]
    fingerprint: bytes
    digest: bytes
    answer: str


Job = Ask | Report | Settlement | Kept


class ItemAnswer(Struct, rename="camel"):
    """`limit` and `remaining` of None: unlimited, or a flag. `resets_at` of None: waiting does not help."""

    feature: str
    kind: Kind
    amount: int
    used: int | None = None
    limit: int | None = None
    remaining: int | None = None
    overage: int = 0
    resets_at: datetime | None = None


class HoldAnswer(Struct, rename="camel"):
    id: UUID
    expires_at: datetime


class Answer(Struct, rename="camel"):
    """One feature was asked for and granted."""

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
    hold: HoldAnswer | UnsetType = UNSET


class Answers(Struct, rename="camel"):
    """Several were."""

    allowed: bool
    recorded: bool
    items: list[ItemAnswer]


class Verdict(StrEnum):
    """What became of an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
