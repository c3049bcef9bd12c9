"""Signing needs the secret itself, so it is stored encrypted, under keys derived from the server's versioned secrets (API_KEY_SECRETS).

A copy of the database alone signs nothing. While an old version still stands there, what was stored under it is read, and stored anew.
"""

from cryptography.fernet import InvalidToken
from django.conf import settings

from contextmcp.common.encryption import ciphers, fernet

_PURPOSE = b"contextmcp webhook endpoints"


class Unreadable(Exception):
    """It was stored under a secret that is no longer there."""


def seal(secret: str) -> bytes:
    return ciphers(_PURPOSE).encrypt(secret.encode())


def unseal(stored: bytes) -> str:
    try:
        return ciphers(_PURPOSE).decrypt(bytes(stored)).decode()
    except InvalidToken as error:
        raise Unreadable from error


def renewed(stored: bytes) -> bytes | None:
    """The same under the newest secret, or None where it is so already, or cannot be read."""
    newest = next(iter(settings.API_KEY_SECRETS.values()))
    try:
        fernet(newest, _PURPOSE).decrypt(bytes(stored))
    except InvalidToken:
        try:
            return ciphers(_PURPOSE).rotate(bytes(stored))
        except InvalidToken:
            return None
    return None
