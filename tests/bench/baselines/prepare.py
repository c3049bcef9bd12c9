"""Create tables, keys and rows for the baselines: `python -m tests.bench.baselines.prepare KEYS FILE`."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import sys
from pathlib import Path

import django

KEPT = 1_000
# At most: a quick run, with few keys, reads as few hours.
HOURS = 24 * 10
FEATURES = ("sessions", "context_queries", "session_creation", "git_webhooks", "exports")


def main(count: int, to: Path) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.baselines.settings"
    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from rest_framework_api_key.models import APIKey

    from tests.bench.baselines.models import Hour, Quota
    from tests.bench.baselines.peers import PERIOD
    from tests.bench.baselines.raw import TABLE

    call_command("migrate", verbosity=0, run_syncdb=True, interactive=False)
    keys, rows = [], []
    for number in range(count):
        row = APIKey(name=f"key {number}")
        keys.append(APIKey.objects.assign_key(row))
        rows.append(row)
    APIKey.objects.bulk_create(rows, 5_000)
    Quota.objects.bulk_create([Quota(organization_id=number, feature="sessions", period=PERIOD) for number in range(count)], 5_000)
    first = dt.datetime.now(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    hours = [first + dt.timedelta(hours=hour) for hour in range(min(HOURS, count))]
    Hour.objects.bulk_create(
        [
            Hour(organization_id=number, feature=feature, bucket=hour, amount=5)
            for number in range(20)
            for hour in hours
            for feature in FEATURES
        ],
        5_000,
    )
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.execute("VACUUM ANALYZE")
    chosen = random.Random(1).sample(range(count), min(count, KEPT))
    to.write_text(json.dumps([[number, keys[number]] for number in chosen]))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
