"""Encrypt signing secrets at rest, with keys derived from the server's versioned secrets (API_KEY_SECRETS).

Signing needs the plain secret, so it cannot be stored as a hash. A copy of the database alone is not enough to sign messages. Secrets that
are encrypted under an older server secret can be decrypted while that version is configured, and are re-encrypted under the newest one.
"""

from cryptography.fernet import InvalidToken
from django.utils import timezone

from contextmcp.common import encryption
from contextmcp.common.encryption import ciphers
from usage.models import WebhookEndpoint

_PURPOSE = b"contextmcp webhook endpoints"


class DecryptionFailed(Exception):
    """The secret was encrypted under a server secret that is no longer configured."""


def encrypt(secret: str) -> bytes:
    """Encrypt a signing secret under the newest server secret."""
    return ciphers(_PURPOSE).encrypt(secret.encode())


def decrypt(stored: bytes) -> str:
    """Decrypt a stored signing secret. Raise `DecryptionFailed` if its server secret is no longer configured."""
    try:
        return ciphers(_PURPOSE).decrypt(bytes(stored)).decode()
    except InvalidToken as error:
        raise DecryptionFailed from error


def reencrypt(stored: bytes) -> bytes | None:
    """Return the secret re-encrypted under the newest server secret, or None if that is not necessary or it cannot be decrypted."""
    try:
        return encryption.reencrypt(_PURPOSE, bytes(stored))
    except InvalidToken:
        return None


def valid_secrets(endpoint: WebhookEndpoint) -> tuple[str, ...]:
    """Return the endpoint's secret, followed by its previous one while that is valid. Raise `DecryptionFailed`."""
    ends = endpoint.previous_secret_expires_at
    stored = [endpoint.secret, endpoint.previous_secret] if ends is not None and ends > timezone.now() else [endpoint.secret]
    return tuple(decrypt(bytes(ciphertext)) for ciphertext in stored if ciphertext is not None)


def reencrypt_all() -> int:
    """Re-encrypt all secrets under the newest server secret. Return the number of secrets that were re-encrypted."""
    count = 0
    for endpoint in WebhookEndpoint.objects.only("secret", "previous_secret").iterator():
        for name in ("secret", "previous_secret"):
            stored = getattr(endpoint, name)
            reencrypted = None if stored is None else reencrypt(bytes(stored))
            if reencrypted is not None:
                # The filter skips secrets that were rotated in the meantime.
                count += WebhookEndpoint.objects.filter(**{"pk": endpoint.pk, name: bytes(stored)}).update(**{name: reencrypted})
    return count
