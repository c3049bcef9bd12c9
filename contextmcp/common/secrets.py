"""Parsers of the secrets in API_KEY_SECRETS, SIGNING_KEY and OAUTH_PRIVATE_KEY. The settings import them, so they import no settings."""

import base64
import binascii
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from django.core.exceptions import ImproperlyConfigured

_ENTRY = re.compile(r"(\d+):([0-9a-fA-F]{64,})")
_PEM = re.compile(r"-----BEGIN PRIVATE KEY-----(.*)-----END PRIVATE KEY-----", re.DOTALL)
# An Ed25519 private key in PKCS #8 is this prefix and the seed (RFC 8410, section 7).
_PKCS8_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
SEED_BYTES = 32
# NIST SP 800-131A, and RFC 7518, 3.3: RS256 requires 2048 bits or more.
RSA_BITS = 2048


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
                'API_KEY_SECRETS is malformed: enter "version:hex" entries, newest first, each at least 64 hexadecimal digits.'
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


def parse_rsa_keys(text: str) -> list[dict[str, str]]:
    """Parse comma-separated RSA private keys in PEM (not encrypted; line breaks may be written as `\\n`). The first one signs.

    Returns:
        The entries of allauth's setting IDP_OIDC_PRIVATE_KEYS.

    Raises:
        ImproperlyConfigured: an entry is malformed or too short.
    """
    return [{"pem": _rsa_pem(entry)} for entry in text.replace("\\n", "\n").split(",") if entry.strip()]


def _rsa_pem(entry: str) -> str:
    try:
        key = load_pem_private_key(entry.strip().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < RSA_BITS:
        raise ImproperlyConfigured(f"OAUTH_PRIVATE_KEY is malformed: enter an RSA private key of {RSA_BITS} bits or more as PEM.")
    return entry.strip() + "\n"


def generate_rsa_key() -> str:
    """Return a new RSA private key as PEM on one line, which is a valid value of OAUTH_PRIVATE_KEY."""
    pem = generate_private_key(65537, RSA_BITS).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode().strip().replace("\n", "\\n")
