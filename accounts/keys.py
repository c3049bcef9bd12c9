"""The form of an API key, and how one is recognised.

`cmcp_sk_<live|test>_<public id: 12><secret: 32><CRC-32: 6>`, the last three in base62: 63 characters, 190 bits of secret.
A service key has the prefix `cmcp_svc_` and is otherwise the same, so it is one character longer.
"""

import hmac
import secrets
import zlib
from dataclasses import dataclass

import bcrypt
from django.conf import settings

from .errors import EnvironmentMismatch, InvalidKeyFormat

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PUBLIC_LENGTH = 12
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6
PREFIXES = {"cmcp_sk_live_": "live", "cmcp_sk_test_": "test"}
PREFIX_LENGTH = 13
LENGTH = PREFIX_LENGTH + PUBLIC_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH
SERVICE_PREFIX = "cmcp_svc_"
_BASE62 = frozenset(ALPHABET)


@dataclass(frozen=True, slots=True)
class Presented:
    """A well-formed key: what can be said of it without asking anybody."""

    environment: str
    public_id: str


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """All that is stored of a key."""

    public_id: str
    bcrypt_hash: str
    hmac: bytes
    hmac_version: int


def generate(environment: str, *, prefix: str = "cmcp_sk_") -> str:
    """A new key. It exists in this string alone."""
    body = f"{prefix}{environment}_" + "".join(secrets.choice(ALPHABET) for _ in range(PUBLIC_LENGTH + SECRET_LENGTH))
    return body + checksum(body)


def checksum(body: str) -> str:
    """CRC-32 of all that stands before it, in six digits of base62."""
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def parse(raw: str) -> Presented:
    """What a key says of itself; no query, no secret. Raises `InvalidKeyFormat`, or `EnvironmentMismatch` for a key of the other kind."""
    environment = PREFIXES.get(raw[:PREFIX_LENGTH])
    if environment is None or len(raw) != LENGTH or not _BASE62.issuperset(raw[PREFIX_LENGTH:]):
        raise InvalidKeyFormat
    if checksum(raw[:-CHECKSUM_LENGTH]) != raw[-CHECKSUM_LENGTH:]:
        raise InvalidKeyFormat
    if environment != settings.KEY_ENVIRONMENT:
        raise EnvironmentMismatch(expected=settings.KEY_ENVIRONMENT, presented=environment)
    return Presented(environment, raw[PREFIX_LENGTH : PREFIX_LENGTH + PUBLIC_LENGTH])


def is_service_key(raw: str) -> bool:
    """Return whether the text has the prefix of a service key."""
    return raw.startswith(SERVICE_PREFIX)


def parse_service_key(raw: str) -> Presented:
    """Do the same as `parse` for a service key. The checksum covers the service key's own prefix."""
    body = raw.removeprefix(SERVICE_PREFIX)
    environment, _, rest = body.partition("_")
    expected = PUBLIC_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH
    if not is_service_key(raw) or environment not in {"live", "test"} or len(rest) != expected or not _BASE62.issuperset(rest):
        raise InvalidKeyFormat
    if checksum(raw[:-CHECKSUM_LENGTH]) != raw[-CHECKSUM_LENGTH:]:
        raise InvalidKeyFormat
    if environment != settings.KEY_ENVIRONMENT:
        raise EnvironmentMismatch(expected=settings.KEY_ENVIRONMENT, presented=environment)
    return Presented(environment, rest[:PUBLIC_LENGTH])


def newest_version() -> int:
    """The version of the server secret that new keys are made under: the first in the setting."""
    return next(iter(settings.API_KEY_SECRETS))


def digest(raw: str, version: int | None = None) -> bytes:
    """The HMAC-SHA256 of a key under that version of the server secret (the newest, unless told). KeyError for an unknown version."""
    secret = settings.API_KEY_SECRETS[newest_version() if version is None else version]
    return hmac.digest(secret, raw.encode(), "sha256")


def fingerprints(raw: str) -> Fingerprints:
    """What to store of a key. The bcrypt hash takes about a third of a second at 12 rounds."""
    hashed = bcrypt.hashpw(raw.encode(), bcrypt.gensalt(settings.API_KEY_BCRYPT_ROUNDS)).decode()
    public_id = raw[-CHECKSUM_LENGTH - SECRET_LENGTH - PUBLIC_LENGTH : -CHECKSUM_LENGTH - SECRET_LENGTH]
    return Fingerprints(public_id, hashed, digest(raw), newest_version())


def bcrypt_agrees(raw: str, hashed: str) -> bool:
    """Slow on purpose; releases the GIL."""
    return bcrypt.checkpw(raw.encode(), hashed.encode())


def hmac_agrees(raw: str, stored: bytes, version: int) -> bool:
    """In constant time."""
    return hmac.compare_digest(digest(raw, version), stored)


def public_part(text: str) -> str:
    """Return `text` cut to the public id where it begins like a key, or like the hint that pages show; other text as it is."""
    text = text.strip()
    for prefix in PREFIXES:
        if text.startswith(prefix):
            return text[PREFIX_LENGTH : PREFIX_LENGTH + PUBLIC_LENGTH].rstrip("….")
    return text
