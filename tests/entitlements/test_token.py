"""GET /api/entitlements/token: signed entitlements for software that has to work offline."""

import base64
import json
from datetime import timedelta

import pytest

from contextmcp.common.clock import now
from contextmcp.common.signing import jwks
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from entitlements.token import issue_token
from entitlements.types import Kind
from tests.factories.service_keys import service_key

pytestmark = pytest.mark.any_catalog


def claims_of(token):
    head, payload = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in token.split(".")[:2])
    assert head == {"alg": "EdDSA", "kid": jwks()["keys"][0]["kid"], "typ": "entitlements+jwt"}
    return payload


@pytest.fixture
def headers(acme, owner):
    return {"Authorization": f"Bearer {owner.key}"}


def test_token_and_entitlements_are_equal(client, acme, headers):
    answer = client.get("/api/entitlements/token", headers=headers)
    assert answer.status_code == 200 and answer["Cache-Control"] == "private, no-store"
    claims = claims_of(answer.json()["token"])
    plan = client.get("/api/entitlements", headers=headers).json()
    usage = client.get("/api/usage/current", headers=headers).json()
    assert claims["sub"] == str(acme.pk) == plan["organizationId"]
    assert {name: claims[name] for name in ("plan", "planVersion", "active", "source")} == {
        name: plan[name] for name in ("plan", "planVersion", "active", "source")
    }
    assert claims["period"] == {"start": usage["periodStart"], "end": usage["periodEnd"]}
    assert claims["features"].keys() == plan["features"].keys()
    for name, feature in claims["features"].items():
        is_rate = CATALOG.feature(name).kind is Kind.RATE_LIMIT
        assert feature.pop("windowSeconds", None) == (60 if is_rate else None)
        assert feature == {part: plan["features"][name][part] for part in ("kind", "enabled", "limit", "failureMode")}
    assert (claims["exp"] - claims["iat"], claims["grace"]) == (3600, 72 * 3600)


def test_a_service_key_names_the_customer(client, acme, db):
    headers = {"Authorization": f"Bearer {service_key()}"}
    answer = client.get(f"/api/entitlements/token?organizationId={acme.pk}", headers=headers)
    assert claims_of(answer.json()["token"])["sub"] == str(acme.pk)
    assert client.get("/api/entitlements/token", headers=headers).json()["code"] == "customer_required"


def test_nothing_outlives_a_scheduled_change(acme):
    """Also on a test clock: the token is for software whose clock is the wall's."""
    plan = CATALOG.plans[-1].name
    acme.clock_offset = timedelta(days=400)
    EntitlementsManager(acme).grant(plan, reason="a trial", ends_at=now(acme) + timedelta(hours=5))
    token = issue_token(acme)
    claims = claims_of(token.token)
    assert claims["plan"] == plan and claims["exp"] - claims["iat"] == 3600
    assert timedelta(hours=4, minutes=59) < token.grace_until - now() <= timedelta(hours=5)
    assert claims["grace"] == (token.grace_until - token.expires_at).total_seconds()


def test_without_a_signing_key_it_is_refused(client, headers, settings):
    settings.SIGNING_KEYS = ()
    answer = client.get("/api/entitlements/token", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "signing_not_configured")
