"""Create the product's organizations and keys: `python -m tests.bench.seed ORGANIZATIONS KEYS FILE`.

Each organization has Pro with limits that no benchmark reaches. They are finite, so that every check of a limit is executed.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import django

ENDLESS = 1_000_000_000
ENDLESS_RATE = 1_000_000_000
AGE = timedelta(days=60)
# Keys under a secret that is no longer configured, so that only bcrypt can verify a guess.
STALE = 50
# At most. A quick run with few keys sends few of them.
GUESSES = 10_000


def main(organizations: int, keys: int, to: Path) -> None:
    django.setup()
    from django.utils import timezone

    from accounts import key_format as forms
    from accounts.models import ApiKey, Membership, Organization, User
    from accounts.roles import SCOPES
    from accounts.services import service_keys
    from entitlements.manager import EntitlementsManager
    from entitlements.publish import publish

    publish()
    born = timezone.now() - AGE
    users = User.objects.bulk_create([User(email=f"owner{n}@bench.example", password="!") for n in range(organizations)], 5_000)
    created = Organization.objects.bulk_create(
        [
            Organization(name=f"Bench {n}", slug=f"bench-{n}", email=f"owner{n}@bench.example", created_at=born)
            for n in range(organizations)
        ],
        5_000,
    )
    owners = Membership.objects.bulk_create(
        [Membership(organization=one, user=user, role="owner") for one, user in zip(created, users, strict=True)], 5_000
    )
    for organization in created:
        manager = EntitlementsManager(organization)
        manager.grant("pro", "gift", reason="a benchmark", starts_at=born, anchor=born)
        manager.override("sessions", ENDLESS, reason="a benchmark")
        manager.override("context_queries", ENDLESS_RATE, reason="a benchmark")
    period = EntitlementsManager(created[0]).require("sessions").period(timezone.now())
    # One hash for all: it is only used for keys of a removed secret, and never matches.
    hashed = forms.hash_key(forms.generate("test")).bcrypt_hash

    def row(number: int, raw: str, version: int) -> ApiKey:
        owner = owners[number % organizations]
        return ApiKey(
            organization_id=owner.organization_id,
            creator=owner,
            created_by_id=owner.user_id,
            public_id=forms.parse(raw).public_id,
            bcrypt_hash=hashed,
            hmac=forms.digest(raw),
            hmac_version=version,
            name=f"key {number}",
            scopes=list(SCOPES),
            environment="test",
            created_at=born,
        )

    def guess(raw: str) -> str:
        """Return a key with the same public ID and another secret."""
        body = (
            raw[: forms.PREFIX_LENGTH + forms.PUBLIC_LENGTH]
            + forms.generate("test")[-forms.SECRET_LENGTH - forms.CHECKSUM_LENGTH : -forms.CHECKSUM_LENGTH]
        )
        return body + forms.checksum(body)

    raws = [forms.generate("test") for _ in range(keys)]
    guesses = min(GUESSES, 10 * keys)
    stale = [forms.generate("test") for _ in range(STALE)]
    for start in range(0, keys, 5_000):
        rows = [row(start + n, raw, forms.newest_version()) for n, raw in enumerate(raws[start : start + 5_000])]
        ApiKey.objects.bulk_create(rows)
    ApiKey.objects.bulk_create([row(n, raw, 0) for n, raw in enumerate(stale)])
    _, service_key = service_keys.create(None, "Benchmark")
    to.touch(mode=0o600)
    to.write_text(
        json.dumps(
            {
                "keys": raws,
                "service_key": service_key,
                "organizations": [str(one.pk) for one in created],
                "period": [period.start.isoformat(), period.end.isoformat()],
                "guesses": {
                    "unknown": [forms.generate("test") for _ in range(guesses)],
                    "stale": [guess(stale[n % STALE]) for n in range(guesses)],
                },
            }
        )
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "contextmcp.settings.production")
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
