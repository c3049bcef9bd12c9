"""Signed documents: what another implementation verifies, the rotation of keys, and the published key set."""

import base64
import json
from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import ImproperlyConfigured

from contextmcp.common.secrets import parse_signing_keys
from contextmcp.common.signing import SigningNotConfigured, jwks, sign


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def read(token, keys):
    header, payload, signature = token.split(".")
    head = json.loads(decode(header))
    key = next(each for each in keys if each["kid"] == head["kid"])
    Ed25519PublicKey.from_public_bytes(decode(key["x"])).verify(decode(signature), f"{header}.{payload}".encode())
    return head, json.loads(decode(payload))


def test_a_document_is_verified_with_the_published_keys(client, settings):
    token = sign({"sub": "organization", "aud": "upstream"}, timedelta(minutes=5), token_type="at+jwt")
    answer = client.get("/.well-known/jwks.json")
    assert answer["Cache-Control"] == "public, max-age=300" and answer.json() == jwks()
    head, claims = read(token, answer.json()["keys"])
    assert (head["alg"], head["typ"]) == ("EdDSA", "at+jwt")
    assert (claims["iss"], claims["sub"], claims["aud"]) == (settings.PUBLIC_URL, "organization", "upstream")
    assert claims["exp"] - claims["iat"] == 300
    with pytest.raises(InvalidSignature):
        header, _, signature = token.split(".")
        read(f"{header}.{base64.urlsafe_b64encode(b'{}').decode().rstrip('=')}.{signature}", answer.json()["keys"])


def test_the_first_key_signs_and_all_are_published(settings):
    old, new = b"o" * 32, b"n" * 32
    settings.SIGNING_KEYS = (old,)
    earlier = sign({}, timedelta(minutes=5))
    settings.SIGNING_KEYS = (new, old)
    keys = jwks()["keys"]
    assert read(earlier, keys)[0]["kid"] == keys[1]["kid"]
    assert read(sign({}, timedelta(minutes=5)), keys)[0]["kid"] == keys[0]["kid"]
    assert all("d" not in key for key in keys)


def test_without_a_key_nothing_is_signed(settings):
    settings.SIGNING_KEYS = ()
    with pytest.raises(SigningNotConfigured):
        sign({}, timedelta(minutes=5))
    assert jwks() == {"keys": []}


def test_the_kid_is_the_thumbprint_of_rfc_8037(settings):
    """RFC 8037, appendices A.1 to A.3."""
    settings.SIGNING_KEYS = (decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"),)
    (key,) = jwks()["keys"]
    assert key["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert key["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_keys_are_read_as_pem_and_base64():
    seed = bytes(range(32))
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    forms = [pem, pem.strip().replace("\n", "\\n"), base64.b64encode(seed).decode(), base64.urlsafe_b64encode(b"\xff" * 32).decode()]
    assert parse_signing_keys(",".join(forms)) == (seed, seed, seed, b"\xff" * 32)
    assert parse_signing_keys("") == ()
    for faulty in ("abc", base64.b64encode(b"x" * 31).decode(), pem[:60], pem.replace("PRIVATE", "PUBLIC"), "{}"):
        with pytest.raises(ImproperlyConfigured):
            parse_signing_keys(faulty)
