"""What a batch writes, as columns."""

from datetime import datetime
from typing import Any
from uuid import UUID

from .binary import Blobs, Ints, Moments, Texts, Times, Uuids, microseconds
from .types import Event, HoldFor, Quota, Who

_Bucket = tuple[bytes, str, int, str, bytes, int]
# In microseconds; those since 2000 began with a whole one of each.
HOUR, DAY = 3_600_000_000, 86_400_000_000


class Tally:
    """Filled by `decide`; its `..._columns` are the parameters of the statements of the same name."""

    def __init__(self) -> None:
        self.organizations, self.features, self.amounts, self.times = Uuids(), Texts(), Ints(), Moments()
        self.keys, self.members, self.digests, self.reasons, self.properties = Uuids(), Ints(), Blobs(), Texts(), Texts()
        self.seen: list[tuple[bytes, bytes, str]] = []
        self.counters: dict[int, list[int]] = {}
        self.hours: dict[tuple[bytes, int, str, bytes, int], list[int]] = {}
        self.levels: dict[int, int] = {}
        self.holds: list[tuple[HoldFor, Who, Quota, datetime]] = []
        self.ended: list[tuple[bytes, str, int]] = []

    def event(  # noqa: PLR0917 - once for every event: keywords would cost
        self, who: Who, feature: str, amount: int, at: datetime, digest: bytes, reason: str, properties: str
    ) -> None:
        self.organizations.append(who.organization)
        self.features.append(feature)
        self.amounts.append(amount)
        moment = microseconds(at)
        self.times.append(moment)
        self.keys.append(who.key)
        self.members.append(who.member)
        self.digests.append(digest)
        self.reasons.append(reason)
        self.properties.append(properties)
        hour = (who.organization, moment // HOUR, feature, who.key, who.member)
        total = self.hours.get(hour)
        if total is None:
            self.hours[hour] = [amount, 1]
        else:
            total[0] += amount
            total[1] += 1

    def report(self, who: Who, events: list[Event]) -> None:
        """Many events of one caller, column by column."""
        count = len(events)
        self.organizations += [who.organization] * count
        self.keys += [who.key] * count
        self.members += [who.member] * count
        self.features += [event.feature for event in events]
        self.amounts += [event.amount for event in events]
        self.times += [event.occurred_at for event in events]
        self.digests += [event.digest or b"" for event in events]
        self.reasons += [event.reason for event in events]
        self.properties += [event.properties for event in events]
        hours: dict[tuple[str, int], list[int]] = {}
        for event in events:
            place = (event.feature, event.occurred_at // HOUR)
            total = hours.get(place)
            if total is None:
                hours[place] = [event.amount, 1]
            else:
                total[0] += event.amount
                total[1] += 1
        for (feature, start), (amount, number) in hours.items():
            total = self.hours.setdefault((who.organization, start, feature, who.key, who.member), [0, 0])
            total[0] += amount
            total[1] += number

    def key(self, key: bytes, fingerprint: bytes, answer: str) -> None:
        self.seen.append((key, fingerprint, answer))

    def count(self, counter: int, used: int, held: int) -> None:
        change = self.counters.setdefault(counter, [0, 0])
        change[0] += used
        change[1] += held

    def level(self, level: int, amount: int) -> None:
        self.levels[level] = self.levels.get(level, 0) + amount

    def hold(self, hold: HoldFor, who: Who, quota: Quota, at: datetime) -> None:
        self.holds.append((hold, who, quota, at))

    def end_hold(self, hold: UUID, state: str, amount: int) -> None:
        self.ended.append((hold.bytes, state, amount))

    @property
    def counts(self) -> bool:
        """Whether the statement COUNT has anything to do."""
        return bool(self.seen or self.amounts or self.counters)

    def count_columns(self) -> list[Any]:
        seen = sorted(self.seen)
        counters = self.counters.items()
        return [
            Uuids([one[0][:16] for one in seen]),
            Blobs([one[0][16:] for one in seen]),
            Blobs([one[1] for one in seen]),
            Texts([one[2] for one in seen]),
            self.organizations,
            self.features,
            self.amounts,
            self.times,
            self.keys,
            self.members,
            self.digests,
            self.reasons,
            self.properties,
            Ints([key for key, _ in counters]),
            Ints([change[0] for _, change in counters]),
            Ints([change[1] for _, change in counters]),
            *self._summary_columns(),
        ]

    def _summary_columns(self) -> list[Any]:
        buckets: dict[_Bucket, list[int]] = {}
        for (organization, hour, feature, key, member), (amount, events) in self.hours.items():
            buckets[organization, "h", hour * HOUR, feature, key, member] = [amount, events]
            day = hour * HOUR // DAY * DAY
            total = buckets.setdefault((organization, "d", day, feature, key, member), [0, 0])
            total[0] += amount
            total[1] += events
        rows = buckets.items()
        return [
            Uuids([row[0] for row, _ in rows]),
            Texts([row[1] for row, _ in rows]),
            Moments([row[2] for row, _ in rows]),
            Texts([row[3] for row, _ in rows]),
            Uuids([row[4] for row, _ in rows]),
            Ints([row[5] for row, _ in rows]),
            Ints([total[0] for _, total in rows]),
            Ints([total[1] for _, total in rows]),
        ]

    def level_columns(self) -> list[Any]:
        rows = sorted(self.levels.items())
        return [Ints([key for key, _ in rows]), Ints([amount for _, amount in rows])]

    def hold_columns(self) -> list[Any]:
        rows = self.holds
        return [
            Uuids([hold.id.bytes for hold, _, _, _ in rows]),
            Uuids([who.organization for _, who, _, _ in rows]),
            Texts([quota.feature for _, _, quota, _ in rows]),
            Times([quota.period.start for _, _, quota, _ in rows]),
            Times([quota.period.end for _, _, quota, _ in rows]),
            Ints([quota.amount for _, _, quota, _ in rows]),
            Uuids([who.key for _, who, _, _ in rows]),
            Ints([who.member for _, who, _, _ in rows]),
            Times([at for _, _, _, at in rows]),
            Times([hold.expires_at for hold, _, _, _ in rows]),
        ]

    def ended_columns(self) -> list[Any]:
        rows = sorted(self.ended)
        return [Uuids([row[0] for row in rows]), Texts([row[1] for row in rows]), Ints([row[2] for row in rows])]
