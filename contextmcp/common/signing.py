"""Sign short-lived documents with the Ed25519 key of this deployment, and publish the public keys.

Clients verify the documents without a call to this server: SDKs verify entitlements tokens, upstream MCP servers verify the gateway's
assertions.

Sources: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7519 (JWT), RFC 7638 (thumbprints), RFC 8037 (Ed25519 in JOSE), RFC 8725 (best practices).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from .clock import now
from .errors import DomainError

JWKS_PATH = ".well-known/jwks.json"
# How long clients may use the key set before they fetch it again.
JWKS_MAX_AGE_SECONDS = 300


class SigningNotConfigured(DomainError):
    code = "signing_not_configured"
    status = 503
    message = "Signed documents are not configured on this server."


def sign(claims: Mapping[str, Any], lifetime: timedelta, *, token_type: str = "JWT") -> str:  # noqa: S107 - a media type, no secret
    """Return `claims` as a JWT (compact serialization), signed with the first key of SIGNING_KEY.

    Args:
        claims: values that JSON can express. `iss` (PUBLIC_URL), `iat` and `exp` are added.
        lifetime: from now until the document expires, in whole seconds.
        token_type: the header `typ`. Verifiers check it, so that they never accept another kind of document (RFC 8725, 3.11).

    Raises:
        SigningNotConfigured: SIGNING_KEY is empty.
    """
    if not settings.SIGNING_KEYS:
        raise SigningNotConfigured
    seed = settings.SIGNING_KEYS[0]
    issued_at = int(now().timestamp())
    payload = {"iss": settings.PUBLIC_URL, "iat": issued_at, "exp": issued_at + int(lifetime.total_seconds()), **claims}
    signed = f"{_header(seed, token_type)}.{_encode_json(payload)}"
    return f"{signed}.{_encode(_private_key(seed).sign(signed.encode()))}"


def jwks() -> dict[str, list[dict[str, str]]]:
    """Return the public keys of SIGNING_KEY as a JWK set. The set is empty if SIGNING_KEY is empty."""
    return {"keys": [dict(jwk(seed)) for seed in settings.SIGNING_KEYS]}


@functools.lru_cache(maxsize=16)
def jwk(seed: bytes) -> Mapping[str, str]:
    """Return the public key as a JWK. Its `kid` is the thumbprint of the key (RFC 7638)."""
    public = {"crv": "Ed25519", "kty": "OKP", "x": _encode(_private_key(seed).public_key().public_bytes_raw())}
    thumbprint = hashlib.sha256(json.dumps(public, separators=(",", ":"), sort_keys=True).encode()).digest()
    return {**public, "kid": _encode(thumbprint), "use": "sig", "alg": "EdDSA"}


@functools.lru_cache(maxsize=16)
def _header(seed: bytes, token_type: str) -> str:
    return _encode_json({"alg": "EdDSA", "kid": jwk(seed)["kid"], "typ": token_type})


@functools.lru_cache(maxsize=16)
def _private_key(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


def _encode_json(value: Mapping[str, Any]) -> str:
    return _encode(msgspec.json.encode(value))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
