"""The service key of the test deployment."""

from contextlib import suppress
from uuid import UUID

from django.conf import settings
from django.db import OperationalError

from accounts import key_format
from accounts.models import ServiceKey
from accounts.service_principals import SCOPES

# One key for the whole run, so that its bcrypt hash is computed once. Each test's database has its own row.
_made: dict[str, key_format.StoredKeyHashes] = {}


def service_key(scopes: tuple[str, ...] = SCOPES) -> str:
    """Return a service key whose row is in this test's database."""
    if not _made:
        raw = key_format.generate(settings.KEY_ENVIRONMENT, prefix=key_format.SERVICE_PREFIX)
        _made[raw] = key_format.hash_key(raw)
    raw, known_by = next(iter(_made.items()))
    # A test that makes the database unavailable must create the row first.
    with suppress(OperationalError):
        _store(known_by, scopes)
    return raw


def _store(known_by: key_format.StoredKeyHashes, scopes: tuple[str, ...]) -> None:
    ServiceKey.objects.get_or_create(
        public_id=known_by.public_id,
        defaults={
            # Servers that a test starts may have cached the key of an earlier test, so the row is always the same.
            "id": UUID(int=1),
            "bcrypt_hash": known_by.bcrypt_hash,
            "hmac": known_by.hmac,
            "hmac_version": known_by.hmac_version,
            "name": "Test server",
            "scopes": list(scopes),
            "environment": settings.KEY_ENVIRONMENT,
        },
    )
