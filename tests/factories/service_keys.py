"""The service key of the test's deployment."""

from contextlib import suppress
from uuid import UUID

from django.conf import settings
from django.db import OperationalError

from accounts import keys
from accounts.models import ServiceKey
from accounts.service_principals import SCOPES

# One text for the whole run: its bcrypt hash is computed once. Every test's database has its own row.
_made: dict[str, keys.Fingerprints] = {}


def service_key(scopes: tuple[str, ...] = SCOPES) -> str:
    """Return the text of a service key that this database knows."""
    if not _made:
        raw = keys.generate(settings.KEY_ENVIRONMENT, prefix=keys.SERVICE_PREFIX)
        _made[raw] = keys.fingerprints(raw)
    raw, known_by = next(iter(_made.items()))
    # A test that takes the database away makes the row before.
    with suppress(OperationalError):
        _store(known_by, scopes)
    return raw


def _store(known_by: keys.Fingerprints, scopes: tuple[str, ...]) -> None:
    ServiceKey.objects.get_or_create(
        public_id=known_by.public_id,
        defaults={
            # A server of the test may remember the key of an earlier test, so the row is always the same.
            "id": UUID(int=1),
            "bcrypt_hash": known_by.bcrypt_hash,
            "hmac": known_by.hmac,
            "hmac_version": known_by.hmac_version,
            "name": "Test server",
            "scopes": list(scopes),
            "environment": settings.KEY_ENVIRONMENT,
        },
    )
