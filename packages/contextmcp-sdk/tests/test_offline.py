"""Tokens, local limits, prices and lines of messages: what works without a service."""

import base64
import json
from datetime import datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from contextmcp_sdk import FeatureNotAvailable, PlanInactive, Pricing, PricingError, QuotaExceeded, RateLimited, load_pricing
from contextmcp_sdk.entitlements_token import InvalidToken, UnknownKey, verify_token
from contextmcp_sdk.stdio.local_limits import RateWindow, RemainingUnits
from contextmcp_sdk.stdio.messages import Cancellation, LineRefusal, ServerResponse, ToolCall, read_client_line, read_server_line

NOW = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)
PRIVATE = Ed25519PrivateKey.generate()


def encode(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


KEYS = {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": encode(PRIVATE.public_key().public_bytes_raw())}]}


def token(private=PRIVATE, header=None, **changes):
    claims = {
        "sub": "organization",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 60,
        "grace": 60,
        "active": True,
        "plan": "small",
        "planTitle": "Small",
        "period": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"},
        "features": {
            "pages": {"kind": "quota", "enabled": True, "limit": 10},
            "calls": {"kind": "rate_limit", "enabled": True, "limit": 2, "windowSeconds": 60},
            "other": {"kind": "boolean", "enabled": False},
        },
        "upgradeUrl": "u",
        "newer": "claim",
    }
    signed = f"{encode({'alg': 'EdDSA', 'typ': 'entitlements+jwt', 'kid': '1', **(header or {})})}.{encode({**claims, **changes})}"
    return f"{signed}.{encode(private.sign(signed.encode()))}"


def test_a_token_says_what_the_plan_includes_and_for_how_long():
    plan = verify_token(token(), KEYS)
    assert [plan.is_fresh(NOW + timedelta(seconds=each)) for each in (-301, 0, 59, 60)] == [False, True, True, False]
    assert [plan.is_usable(NOW + timedelta(seconds=each)) for each in (-301, 60, 119, 120)] == [False, True, True, False]
    assert plan.require("pages").limit == 10
    for feature in ("other", "unknown"):
        with pytest.raises(FeatureNotAvailable) as refusal:
            plan.require(feature)
        assert refusal.value.upgrade_url == "u"
    with pytest.raises(PlanInactive):
        verify_token(token(active=False), KEYS).require("pages")


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"typ": "JWT"}, {"crit": ["x"]}])
def test_another_kind_of_token_is_refused(header):
    with pytest.raises(InvalidToken):
        verify_token(token(header=header), KEYS)


def test_only_the_keys_of_the_service_count():
    with pytest.raises(InvalidToken):
        verify_token(token(private=Ed25519PrivateKey.generate()), KEYS)
    for keys in ({}, {"keys": None}, {"keys": []}, {"keys": [{}]}, {"keys": [{"kid": "2", "crv": "Ed25519", "x": "AA"}]}):
        with pytest.raises(UnknownKey):
            verify_token(token(), keys)
    for text in ("", "a.b", "a.b.c.d", "é.é.é", token()[:-8], token(features=3), token().replace(".", "..", 1)):
        with pytest.raises(InvalidToken):
            verify_token(text, KEYS)


def test_a_rate_window_slides():
    time = [0.0]
    window = RateWindow(lambda: time[0])
    for moment, allowed in ((0, True), (30, True), (59.9, False), (60, True), (61, False), (90, True), (200, True)):
        time[0] = moment
        try:
            window.acquire("calls", 2, 60)
        except RateLimited as refusal:
            assert not allowed
            assert 1 <= refusal.retry_after <= 60
        else:
            assert allowed
    window.acquire("calls", None, 60)
    with pytest.raises(RateLimited):
        window.acquire("none", 0, 60)


def test_what_is_left_of_a_quota():
    plan, left = verify_token(token(), KEYS), RemainingUnits()
    left.require(plan, "pages", 10, 0, NOW)
    with pytest.raises(QuotaExceeded) as refusal:
        left.require(plan, "pages", 8, 3, NOW)
    assert (refusal.value.remaining, refusal.value.limit, refusal.value.resets_at.month) == (7, 10, 12)
    left.learn("pages", 4, NOW + timedelta(days=1))
    left.counted("pages", 3)
    left.require(plan, "pages", 1, 0, NOW)
    with pytest.raises(QuotaExceeded):
        left.require(plan, "pages", 2, 0, NOW)
    # After the reset, the whole limit is available.
    left.require(plan, "pages", 10, 0, NOW + timedelta(days=1))
    left.learn("pages", None, None)
    left.require(plan, "pages", 1_000_000, 0, NOW)


def test_prices(tmp_path):
    prices = Pricing({"a": "free", "a*": {"feature": "x"}, "*b": {"feature": "y", "amount": 3}}, default={"feature": "z"})
    assert prices.price_of("a") == "free"
    assert [prices.price_of(name).feature for name in ("ab", "xb", "other")] == ["x", "y", "z"]
    assert Pricing({}).price_of("any") == "deny"
    path = tmp_path / "pricing.toml"
    path.write_text('[servers.one.tools]\na = "free"\n[servers.two]\n[servers.two.prompts]\np = { feature = "x" }\n')
    assert load_pricing(path, "one").price_of("a") == "free"
    for server, sentence in ((None, "Choose one of them: one, two"), ("three", "no server 'three'"), ("two", "prompts and resources")):
        with pytest.raises(PricingError, match=sentence):
            load_pricing(path, server)


def test_lines_of_clients_and_servers():
    def line(**message):
        return json.dumps({"jsonrpc": "2.0", **message}).encode()

    call = {"name": "tool", "arguments": {"a": 1}, "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
    assert read_client_line(line(id=1, method="tools/call", params=call)) == ToolCall(1, "tool", {"a": 1}, needs_result_type=True)
    assert read_client_line(line(id="x", method="tools/call", params={"name": "tool"})) == ToolCall("x", "tool", {})
    assert read_client_line(line(method="notifications/cancelled", params={"requestId": 3})) == Cancellation(3)
    for free in (b"\n", b"3", line(id=1, method="tools/list"), line(id=1, result={}), line(method="notifications/cancelled")):
        assert read_client_line(free) is None
    for bad in (
        b"{", b"[]", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff", b"[" * 100_000, b'{"id": ' + b"9" * 5_000 + b"}",
        line(id=True, method="tools/call", params=call), line(method="tools/call", params=call), line(id=1, method="tools/call", params=[]),
        line(id=1, method="tools/call", params={"name": "tool", "arguments": []}),
    ):  # fmt: skip
        with pytest.raises(LineRefusal):
            read_client_line(bad)
    assert read_server_line(line(id=1, result={"_meta": {"u": 1}})) == ServerResponse(1, "success", {"u": 1})
    assert read_server_line(line(id=1, result={"isError": True})) == ServerResponse(1, "tool_error", {})
    assert read_server_line(line(id=1, result={"resultType": "input_required"})) == ServerResponse(1, "input_required", {})
    assert read_server_line(line(id=1, error={})) == ServerResponse(1, "protocol_error", {})
    for other in (b"", b"x", b"[1]", line(id=1, method="sampling/createMessage"), line(method="notifications/progress"), b"[" * 100_000):
        assert read_server_line(other) is None
