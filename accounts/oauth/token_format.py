"""The format of authorization codes, access tokens and refresh tokens. It is the format of API keys with other prefixes.

`cmcp_at_<live|test>_<secret: 44><CRC-32: 6>`, the last two in base62. Secret scanners and the masking of logs recognize the prefix; the
checksum rejects malformed tokens without a query.
"""

import hashlib

from django.conf import settings

from accounts import key_format
from accounts.errors import EnvironmentMismatch

from .errors import AccessTokenNotFound

CODE_PREFIX = "cmcp_ac_"
ACCESS_PREFIX = "cmcp_at_"
REFRESH_PREFIX = "cmcp_rt_"
LENGTH = len(ACCESS_PREFIX) + len("live_") + key_format.PUBLIC_LENGTH + key_format.SECRET_LENGTH + key_format.CHECKSUM_LENGTH
_MAX_LENGTH = 255


def generate(prefix: str) -> str:
    """Return a new random token of this deployment's environment."""
    return key_format.generate(settings.KEY_ENVIRONMENT, prefix=prefix)


def digest(raw: str) -> bytes:
    """Return the SHA-256 digest under which a code or token is stored. Text that is not a token has a digest, too."""
    return hashlib.sha256(raw[:_MAX_LENGTH].encode(errors="surrogatepass")).digest()


def is_access_token(raw: str) -> bool:
    """Return whether the text has the prefix of an access token."""
    return raw.startswith(ACCESS_PREFIX)


def check_access_token(raw: str) -> None:
    """Check an access token without a query. Raises `AccessTokenNotFound`, or `EnvironmentMismatch` if it is of the other environment."""
    if len(raw) != LENGTH or not raw.isascii() or not is_access_token(raw):
        raise AccessTokenNotFound
    if key_format.checksum(raw[: -key_format.CHECKSUM_LENGTH]) != raw[-key_format.CHECKSUM_LENGTH :]:
        raise AccessTokenNotFound
    environment = raw[len(ACCESS_PREFIX) :].partition("_")[0]
    if environment != settings.KEY_ENVIRONMENT:
        message = "This access token belongs to another environment."
        raise EnvironmentMismatch(message, expected=settings.KEY_ENVIRONMENT, presented=environment)
