"""Parsers of the secrets in API_KEY_SECRETS and SIGNING_KEY. The settings import them, so they import no settings."""

import base64
import binascii
import re

from django.core.exceptions import ImproperlyConfigured

_ENTRY = re.compile(r"(\d+):([0-9a-fA-F]{64,})")
_PEM = re.compile(r"-----BEGIN PRIVATE KEY-----(.*)-----END PRIVATE KEY-----", re.DOTALL)
# An Ed25519 private key in PKCS #8 is this prefix and the seed (RFC 8410, section 7).
_PKCS8_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
SEED_BYTES = 32


def parse_key_secrets(text: str) -> dict[int, bytes]:
    """Parse `"2:<hex>,1:<hex>"`, newest first, into `{2: ..., 1: ...}`. New keys use the first entry.

    Raises:
        ImproperlyConfigured: an entry is malformed.
    """
    secrets: dict[int, bytes] = {}
    for entry in text.split(","):
        match = _ENTRY.fullmatch(entry.strip())
        if not match:
            raise ImproperlyConfigured(
                'API_KEY_SECRETS is malformed: give "version:hex" entries, newest first, each at least 64 hexadecimal digits.'
            )
        secrets[int(match[1])] = bytes.fromhex(match[2])
    return secrets


def parse_signing_keys(text: str) -> tuple[bytes, ...]:
    """Parse comma-separated Ed25519 private keys into their seeds of 32 bytes. The first one signs.

    Each is a PEM document (PKCS #8, not encrypted; its line breaks may be written as `\\n`) or a seed in Base64.

    Raises:
        ImproperlyConfigured: an entry is malformed.
    """
    return tuple(_signing_seed(entry.strip()) for entry in text.split(",") if entry.strip())


def _signing_seed(entry: str) -> bytes:
    pem = _PEM.fullmatch(entry)
    encoded = re.sub(r"\s|\\n", "", pem[1] if pem else entry)
    try:
        key = base64.b64decode(encoded, altchars=b"-_" if re.search("[-_]", encoded) else None, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    seed = key.removeprefix(_PKCS8_PREFIX) if pem else key
    if len(seed) != SEED_BYTES:
        raise ImproperlyConfigured("SIGNING_KEY is malformed: enter an Ed25519 private key as PEM, or 32 random bytes in Base64.")
    return seed
