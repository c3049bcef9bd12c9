"""Encrypt small secrets that are stored in the database, under keys derived from the server's versioned secrets (API_KEY_SECRETS).

A copy of the database alone does not reveal them. Each purpose has its own keys, so that one kind of secret cannot be used as another.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def fernet(secret: bytes, purpose: bytes) -> Fernet:
    """Return a cipher whose key is derived from a server secret and `purpose`."""
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret)
    return Fernet(base64.urlsafe_b64encode(derived))


def ciphers(purpose: bytes) -> MultiFernet:
    """Return a cipher that encrypts under the newest server secret and decrypts under any of them."""
    return MultiFernet([fernet(secret, purpose) for secret in settings.API_KEY_SECRETS.values()])


def reencrypt(purpose: bytes, stored: bytes) -> bytes | None:
    """Return the stored value re-encrypted with the newest server secret, or None if it already uses that secret.

    Raises `InvalidToken` if it was encrypted under a server secret that is no longer configured.
    """
    newest = next(iter(settings.API_KEY_SECRETS.values()))
    try:
        fernet(newest, purpose).decrypt(stored)
    except InvalidToken:
        return ciphers(purpose).rotate(stored)
    return None
