"""Signing needs the secret itself, so it is stored encrypted, under keys derived from the server's versioned secrets (API_KEY_SECRETS).

A copy of the database alone signs nothing. While an old version still stands there, what was stored under it is read, and stored anew.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_PURPOSE = b"contextmcp webhook endpoints"


class Unreadable(Exception):
    """It was stored under a secret that is no longer there."""


def seal(secret: str) -> bytes:
    return _keys().encrypt(secret.encode())


def unseal(stored: bytes) -> str:
    try:
        return _keys().decrypt(bytes(stored)).decode()
    except InvalidToken as error:
        raise Unreadable from error


def renewed(stored: bytes) -> bytes | None:
    """The same under the newest secret, or None where it is so already, or cannot be read."""
    newest = next(iter(settings.API_KEY_SECRETS.values()))
    try:
        _fernet(newest).decrypt(bytes(stored))
    except InvalidToken:
        try:
            return _keys().rotate(bytes(stored))
        except InvalidToken:
            return None
    return None


def _keys() -> MultiFernet:
    return MultiFernet([_fernet(secret) for secret in settings.API_KEY_SECRETS.values()])


def _fernet(secret: bytes) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
    return Fernet(base64.urlsafe_b64encode(derived))
