"""Only the record of refusals, without the gate: count refused calls in memory and write the counts.

Runs as a process of its own: `python -m tests.bench.baselines.refusal_record ORGANIZATIONS SECONDS`. It prints the number of recorded
calls and this process's CPU seconds for them. The calls are as many between two writes as the gate refuses in that time.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time

import django
import psycopg

# Refused calls per second of a busy gate. The fewer there are between two writes, the more each of them costs.
RATE = 2_500


def main(organizations: int, seconds: float) -> None:
    """Record refusals of the keys of this many organizations."""
    django.setup()
    from usage.refusals.aggregator import RefusalCounts
    from usage.refusals.recording import INTERVAL_SECONDS

    counts, recorded = RefusalCounts(), 0
    between_writes = max(1, round(RATE * min(INTERVAL_SECONDS, seconds)))
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        rows = connection.execute("SELECT organization_id, min(id::text)::uuid FROM accounts_apikey GROUP BY 1 LIMIT %s", [organizations])
        callers = itertools.cycle([(organization.bytes, key.bytes) for organization, key in rows])
        started, until = time.process_time(), time.monotonic() + seconds
        while time.monotonic() < until:
            for organization, key in itertools.islice(callers, between_writes):
                counts.add(organization, "quota_exceeded", "sessions", key, "")
            counts.flush(connection)
            recorded += between_writes
        used = time.process_time() - started
    print(json.dumps({"recorded": recorded, "cpu_seconds": used}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
