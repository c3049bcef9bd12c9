"""The fastest inserts into Postgres that still reject duplicates: binary `unnest` on one connection, rows as wide as the product's.

Runs as a process of its own: `python -m tests.bench.baselines.raw URL SECONDS`. It prints events, seconds and the seconds of each batch.
The time to generate rows is excluded.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import sys
import time
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.bench.requests import random_id

SIZE = 1_000
TABLE = """
CREATE TABLE IF NOT EXISTS raw_events (
    organization_id uuid NOT NULL, feature text NOT NULL, amount bigint NOT NULL, occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(), key_id uuid NOT NULL, member_id bigint NOT NULL, idempotency_key text NOT NULL,
    reason text, properties text, PRIMARY KEY (organization_id, idempotency_key)
)
"""
INSERT = """
INSERT INTO raw_events (organization_id, feature, amount, occurred_at, key_id, member_id, idempotency_key, properties)
SELECT * FROM unnest(%b::uuid[], %b::text[], %b::bigint[], %b::timestamptz[], %b::uuid[], %b::bigint[], %b::text[], %b::text[])
ON CONFLICT DO NOTHING
"""
PROPERTIES = '{"tool":"search","server":"github"}'


def columns() -> list[list[Any]]:
    """Return one batch of one organization's events."""
    now, organization, key = dt.datetime.now(dt.UTC), UUID(int=random.randrange(1_000)), uuid4()
    moments = [now - dt.timedelta(seconds=random.randrange(3_600)) for _ in range(SIZE)]
    keys = [random_id() for _ in range(SIZE)]
    return [[organization] * SIZE, ["sessions"] * SIZE, [1] * SIZE, moments, [key] * SIZE, [1] * SIZE, keys, [PROPERTIES] * SIZE]


def main(url: str, seconds: float) -> None:
    used: list[float] = []
    with psycopg.connect(url, autocommit=True) as connection:
        for warm in (True, False):
            used.clear()
            end = time.perf_counter() + (0.3 if warm else seconds)
            while time.perf_counter() < end:
                batch = columns()
                started = time.perf_counter()
                connection.execute(INSERT, batch, prepare=True)
                used.append(time.perf_counter() - started)
    print(json.dumps({"events": SIZE * len(used), "seconds": sum(used), "latencies": used}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
