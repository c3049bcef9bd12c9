"""Verify an entitlements token, and read the plan from it without a call to the service.

Sources: RFC 7515 and RFC 7519 (JWT), RFC 8037 (Ed25519 in JOSE), RFC 8725 (best practices).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from .errors import ContextMCPError
from .refusals import FeatureNotAvailable, PlanInactive
from .types import FailureMode, Kind

TOKEN_TYPE = "entitlements+jwt"  # noqa: S105 - a media type, no secret
# How far the clock of this machine may be behind that of the service.
LEEWAY = timedelta(minutes=5)


class InvalidToken(ContextMCPError):
    """The token is malformed, has no valid signature, or was signed with a key that is not in the key set."""


class UnknownKey(InvalidToken):
    """The key set does not contain the token's key. The service may have published a new one."""


class TokenFeature(Struct, rename="camel", frozen=True):
    """The plan's terms of one feature. A limit of None is unlimited, or the feature is boolean. `window_seconds` applies to rate limits."""

    kind: Kind
    enabled: bool
    limit: int | None = None
    failure_mode: FailureMode = "fail_closed"
    window_seconds: int | None = None


class Period(Struct, frozen=True):
    """A usage month: it includes `start` and excludes `end`."""

    start: datetime
    end: datetime


class OfflineEntitlements(Struct, rename="camel", frozen=True):
    """The claims of a verified token."""

    organization_id: str = msgspec.field(name="sub")
    issued_at: int = msgspec.field(name="iat")
    expires_at: int = msgspec.field(name="exp")
    # Seconds after the expiry in which the token may be used while the service cannot be reached.
    grace: int
    active: bool
    plan: str
    plan_title: str
    period: Period
    features: Mapping[str, TokenFeature]
    upgrade_url: str | None = None

    def is_fresh(self, at: datetime) -> bool:
        """Return whether the token has not expired."""
        return self._is_issued(at) and at.timestamp() < self.expires_at

    def is_usable(self, at: datetime) -> bool:
        """Return whether the token may be used while the service cannot be reached."""
        return self._is_issued(at) and at.timestamp() < self.expires_at + self.grace

    def require(self, feature: str) -> TokenFeature:
        """Return the plan's terms of a feature. Raises `FeatureNotAvailable` or `PlanInactive`."""
        included = self.features.get(feature)
        if not self.active:
            raise PlanInactive.locally(feature=feature)
        if included is None or not included.enabled:
            raise FeatureNotAvailable.locally(feature=feature, plan=self.plan, upgradeUrl=self.upgrade_url)
        return included

    def _is_issued(self, at: datetime) -> bool:
        return at + LEEWAY >= datetime.fromtimestamp(self.issued_at, timezone.utc)


def verify_token(token: str, key_set: Mapping[str, Any]) -> OfflineEntitlements:
    """Return the claims of a token whose signature is valid. The caller decides whether it is still usable.

    Args:
        token: a JWT in compact serialization.
        key_set: the JWK set of the service.

    Raises:
        UnknownKey: the key set does not have the key.
        InvalidToken: anything else is wrong with it.
    """
    try:
        head, payload, signature = token.split(".")
        header = msgspec.json.decode(_decode(head), type=dict[str, Any])
        signed = f"{head}.{payload}".encode()
        if header.get("alg") != "EdDSA" or header.get("typ") != TOKEN_TYPE or "crit" in header:
            raise InvalidToken("This is not an entitlements token.")
        _public_key(key_set, header.get("kid")).verify(_decode(signature), signed)
        return msgspec.json.decode(_decode(payload), type=OfflineEntitlements)
    except InvalidSignature:
        raise InvalidToken("The signature of the entitlements token is not valid.") from None
    except (ValueError, binascii.Error, UnicodeDecodeError, msgspec.DecodeError):
        raise InvalidToken("The entitlements token is malformed.") from None


def _public_key(key_set: Mapping[str, Any], key_id: Any) -> Ed25519PublicKey:
    keys = key_set.get("keys")
    for key in keys if isinstance(keys, list) else ():
        if isinstance(key, dict) and key_id is not None and key.get("kid") == key_id and key.get("crv") == "Ed25519":
            return Ed25519PublicKey.from_public_bytes(_decode(str(key.get("x"))))
    raise UnknownKey("The entitlements token was signed with an unknown key.")


def _decode(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
