"""Format, hashes and verification of API keys.

`cmcp_sk_<live|test>_<public ID: 12><secret: 32><CRC-32: 6>`, the last three in base62: 63 characters, 190 bits of secret.
A service key has the prefix `cmcp_svc_` and otherwise the same format, so it is one character longer.
"""

import hmac
import re
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
_QUOTED = re.compile(
    rf"cmcp_(?P<kind>sk|svc|at|rt|ac)_(?:(?P<environment>live|test)_)?(?P<public_id>[0-9A-Za-z]{{0,{PUBLIC_LENGTH}}})", re.I
)


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """The parts of a well-formed key that are known without a query."""

    environment: str
    public_id: str


@dataclass(frozen=True, slots=True)
class QuotedKey:
    """The part of a quoted key or token that is not secret.

    `kind` is sk (API key), svc (service key), at (access token), rt (refresh token) or ac (authorization code). `public_id` is empty for
    the three kinds of OAuth, because everything after their prefix is secret.
    """

    kind: str
    environment: str
    public_id: str

    @property
    def is_key(self) -> bool:
        return self.kind in {"sk", "svc"}

    @property
    def hint(self) -> str:
        """Return a text that identifies the key or token and contains no secret."""
        return "_".join(each for each in ("cmcp", self.kind, self.environment, f"{self.public_id}…") if each)


@dataclass(frozen=True, slots=True)
class StoredKeyHashes:
    """The values that are stored for a key."""

    public_id: str
    bcrypt_hash: str
    hmac: bytes
    hmac_version: int


def generate(environment: str, *, prefix: str = "cmcp_sk_") -> str:
    """Return a new random key. It is not stored."""
    body = f"{prefix}{environment}_" + "".join(secrets.choice(ALPHABET) for _ in range(PUBLIC_LENGTH + SECRET_LENGTH))
    return body + checksum(body)


def checksum(body: str) -> str:
    """Return the CRC-32 of `body` as six base62 digits."""
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def parse(raw: str) -> ParsedKey:
    """Parse an API key without a query. Raises `InvalidKeyFormat`, or `EnvironmentMismatch` for a key of the other environment."""
    environment = PREFIXES.get(raw[:PREFIX_LENGTH])
    if environment is None or len(raw) != LENGTH or not _BASE62.issuperset(raw[PREFIX_LENGTH:]):
        raise InvalidKeyFormat
    if checksum(raw[:-CHECKSUM_LENGTH]) != raw[-CHECKSUM_LENGTH:]:
        raise InvalidKeyFormat
    if environment != settings.KEY_ENVIRONMENT:
        raise EnvironmentMismatch(expected=settings.KEY_ENVIRONMENT, presented=environment)
    return ParsedKey(environment, raw[PREFIX_LENGTH : PREFIX_LENGTH + PUBLIC_LENGTH])


def is_service_key(raw: str) -> bool:
    """Return whether the text has the prefix of a service key."""
    return raw.startswith(SERVICE_PREFIX)


def parse_service_key(raw: str) -> ParsedKey:
    """Parse a service key as `parse` does for an API key. The checksum covers the prefix of the service key."""
    body = raw.removeprefix(SERVICE_PREFIX)
    environment, _, rest = body.partition("_")
    expected = PUBLIC_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH
    if not is_service_key(raw) or environment not in {"live", "test"} or len(rest) != expected or not _BASE62.issuperset(rest):
        raise InvalidKeyFormat
    if checksum(raw[:-CHECKSUM_LENGTH]) != raw[-CHECKSUM_LENGTH:]:
        raise InvalidKeyFormat
    if environment != settings.KEY_ENVIRONMENT:
        raise EnvironmentMismatch(expected=settings.KEY_ENVIRONMENT, presented=environment)
    return ParsedKey(environment, rest[:PUBLIC_LENGTH])


def newest_version() -> int:
    """Return the version of the server secret that new keys use: the first one in API_KEY_SECRETS."""
    return next(iter(settings.API_KEY_SECRETS))


def digest(raw: str, version: int | None = None) -> bytes:
    """Return the HMAC-SHA256 of a key under a version of the server secret, by default the newest. Raises `KeyError` if unknown."""
    secret = settings.API_KEY_SECRETS[newest_version() if version is None else version]
    return hmac.digest(secret, raw.encode(), "sha256")


def hash_key(raw: str) -> StoredKeyHashes:
    """Return the hashes to store for a key. bcrypt takes about 0.3 s at 12 rounds."""
    hashed = bcrypt.hashpw(raw.encode(), bcrypt.gensalt(settings.API_KEY_BCRYPT_ROUNDS)).decode()
    public_id = raw[-CHECKSUM_LENGTH - SECRET_LENGTH - PUBLIC_LENGTH : -CHECKSUM_LENGTH - SECRET_LENGTH]
    return StoredKeyHashes(public_id, hashed, digest(raw), newest_version())


def verify_bcrypt(raw: str, hashed: str) -> bool:
    """Return whether the bcrypt hash matches. It takes about 0.3 s and releases the GIL."""
    return bcrypt.checkpw(raw.encode(), hashed.encode())


def verify_hmac(raw: str, stored: bytes, version: int) -> bool:
    """Return whether the HMAC matches, compared in constant time."""
    return hmac.compare_digest(digest(raw, version), stored)


def quoted_key(text: str) -> QuotedKey | None:
    """Return the public part of the key or token in `text`, or None if there is none. The key may be incomplete or part of a sentence."""
    match = _QUOTED.search(text)
    if match is None:
        return None
    kind = match["kind"].lower()
    public_id = match["public_id"] if kind in {"sk", "svc"} else ""
    return QuotedKey(kind, (match["environment"] or "").lower(), public_id)
