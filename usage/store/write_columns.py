"""The parameters of the statements that write a batch, in the order of `sql`."""

from typing import Any

from contextmcp.common.pg_binary import Bytea, Ints, Texts, Times, TimestampMicros, Uuids
from usage.decision.results import to_json
from usage.decision.write_set import HOUR, ToolEvent, WriteSet

# In microseconds. Times are counted from 2000-01-01 00:00 UTC, which is the start of a day.
DAY = 24 * HOUR


def event_columns(write_set: WriteSet) -> list[Any]:
    seen = sorted(write_set.seen)
    counters = write_set.counters.items()
    return [
        Uuids([record[0][:16] for record in seen]),
        Bytea([record[0][16:] for record in seen]),
        Bytea([record[1] for record in seen]),
        Texts([record[2] for record in seen]),
        write_set.organizations,
        write_set.features,
        write_set.amounts,
        write_set.times,
        write_set.keys,
        write_set.members,
        write_set.digests,
        write_set.reasons,
        write_set.properties,
        Ints([key for key, _ in counters]),
        Ints([change[0] for _, change in counters]),
        Ints([change[1] for _, change in counters]),
        Ints([change[2] for _, change in counters]),
        *_summary_columns(write_set),
    ]


def _summary_columns(write_set: WriteSet) -> list[Any]:
    buckets: dict[tuple[bytes, str, int, str, bytes, int], list[int]] = {}
    for (organization, hour, feature, key, member), (amount, events) in write_set.hours.items():
        buckets[organization, "h", hour * HOUR, feature, key, member] = [amount, events]
        day = hour * HOUR // DAY * DAY
        total = buckets.setdefault((organization, "d", day, feature, key, member), [0, 0])
        total[0] += amount
        total[1] += events
    summaries = buckets.items()
    return [
        Uuids([bucket[0] for bucket, _ in summaries]),
        Texts([bucket[1] for bucket, _ in summaries]),
        TimestampMicros([bucket[2] for bucket, _ in summaries]),
        Texts([bucket[3] for bucket, _ in summaries]),
        Uuids([bucket[4] for bucket, _ in summaries]),
        Ints([bucket[5] for bucket, _ in summaries]),
        Ints([total[0] for _, total in summaries]),
        Ints([total[1] for _, total in summaries]),
    ]


def tool_event_columns(events: list[ToolEvent]) -> list[Any]:
    buckets: dict[tuple[bytes, str, int, str, str], list[int]] = {}
    for event in events:
        for grain, length in (("h", HOUR), ("d", DAY)):
            bucket = (event.subject.organization, grain, event.occurred_at // length * length, event.feature, event.tool)
            total = buckets.setdefault(bucket, [0, 0])
            total[0] += event.amount
            total[1] += 1
    summaries = buckets.items()
    return [
        Uuids([event.subject.organization for event in events]),
        Texts([event.feature for event in events]),
        Ints([event.amount for event in events]),
        TimestampMicros([event.occurred_at for event in events]),
        Uuids([event.subject.key for event in events]),
        Ints([event.subject.member for event in events]),
        Bytea([event.digest for event in events]),
        Texts([event.tool for event in events]),
        Uuids([bucket[0] for bucket, _ in summaries]),
        Texts([bucket[1] for bucket, _ in summaries]),
        TimestampMicros([bucket[2] for bucket, _ in summaries]),
        Texts([bucket[3] for bucket, _ in summaries]),
        Texts([bucket[4] for bucket, _ in summaries]),
        Ints([total[0] for _, total in summaries]),
        Ints([total[1] for _, total in summaries]),
    ]


def hold_columns(write_set: WriteSet) -> list[Any]:
    holds = write_set.holds
    return [
        Uuids([hold.id.bytes for hold, _, _, _ in holds]),
        Uuids([subject.organization for _, subject, _, _ in holds]),
        Texts([quota.feature for _, _, quota, _ in holds]),
        Times([quota.period.start for _, _, quota, _ in holds]),
        Times([quota.period.end for _, _, quota, _ in holds]),
        Ints([quota.amount for _, _, quota, _ in holds]),
        Uuids([subject.key for _, subject, _, _ in holds]),
        Ints([subject.member for _, subject, _, _ in holds]),
        Times([at for _, _, _, at in holds]),
        Times([hold.expires_at for hold, _, _, _ in holds]),
    ]


def audit_columns(write_set: WriteSet) -> list[Any]:
    entries = write_set.audits
    return [
        Uuids([entry.organization for entry in entries]),
        Uuids([entry.service.service_key.bytes for entry in entries]),
        Texts([entry.action for entry in entries]),
        Texts([entry.target for entry in entries]),
        Texts(["" if entry.before is None else to_json(entry.before).decode() for entry in entries]),
        Texts([to_json(entry.after).decode() for entry in entries]),
        Texts([entry.reason for entry in entries]),
        Texts([entry.service.address or "" for entry in entries]),
        Texts([entry.service.request_id for entry in entries]),
    ]
