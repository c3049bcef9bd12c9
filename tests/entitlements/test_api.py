"""GET /api/plans without a credential, GET /api/entitlements for the caller's organization."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.roles import Role
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.types import GrantSpec
from tests.factories.accounts import MembershipFactory, UserFactory, key_of
from tests.factories.entitlements import PlanVersionFactory

ROLES = [Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER]


def signed_in(acme, role):
    client = Client()
    client.force_login(MembershipFactory(organization=acme, role=role).user)
    return client


def bearer(acme, scopes=("entitlements:read",)):
    return {"Authorization": f"Bearer {key_of(acme.memberships.get(), list(scopes))}"}


class TestPlans:
    def test_anonymous_clients_may_read_the_plans(self, db, client):
        answer = client.get("/api/plans")
        assert answer.status_code == 200
        free, pro, enterprise = answer.json()["data"]
        assert [plan["plan"] for plan in (free, pro, enterprise)] == ["free", "pro", "enterprise"]
        assert (free["prices"], free["trialDays"]) == ([], 0)
        assert pro["prices"] == [
            {"interval": "month", "amount": 900, "currency": "usd"},
            {"interval": "year", "amount": 9000, "currency": "usd"},
        ]
        assert pro["trialDays"] == 14
        features = {one["feature"]: one for one in pro["features"]}
        assert features["sessions"] == {
            "feature": "sessions",
            "title": "Sessions",
            "kind": "quota",
            "included": True,
            "limit": 1000,
            "overage": {"unitAmount": 2, "currency": "usd"},
        }
        assert (features["white_label"]["included"], features["git_integration"]["included"]) == (False, True)
        assert {one["feature"]: one for one in free["features"]}["git_webhooks"]["included"] is False

    def test_credentials_do_not_change_the_plans(self, acme):
        assert signed_in(acme, Role.VIEWER).get("/api/plans").status_code == 200
        assert Client().get("/api/plans", headers={"Authorization": "Bearer nonsense"}).status_code == 200

    def test_the_published_plans_are_returned(self, db, client):
        document = PlanVersionFactory.build(version=2).document | {"title": "Professional"}
        PlanVersionFactory(version=2, document=document)
        assert client.get("/api/plans").json()["data"][1]["title"] == "Professional"

    @pytest.mark.parametrize(("method", "address", "status"), [("post", "/api/plans", 405), ("get", "/api/plans?plan=pro", 400)])
    def test_unsupported_input_is_reported(self, db, client, method, address, status):
        answer = getattr(client, method)(address)
        assert answer.status_code == status
        assert answer["Content-Type"] == "application/problem+json"


class TestEntitlements:
    @pytest.mark.parametrize("role", ROLES)
    def test_every_member_may_read_them(self, acme, role):
        answer = signed_in(acme, role).get("/api/entitlements")
        assert answer.status_code == 200
        assert (answer.json()["plan"], answer.json()["source"]) == ("free", "free")

    def test_a_key_reads_its_organizations_entitlements(self, acme):
        EntitlementsManager(acme).grant("pro", "subscription", ends_at=now(acme) + timedelta(days=3))
        answer = Client().get("/api/entitlements", headers=bearer(acme))
        data = answer.json()
        assert data["organizationId"] == str(acme.id)
        assert (data["plan"], data["planVersion"], data["source"], data["active"], data["lapsedPlan"]) == (
            "pro",
            1,
            "subscription",
            True,
            None,
        )
        assert data["changesAt"].endswith("Z")
        assert data["features"]["context_cache_mb"] == {
            "kind": "gauge",
            "enabled": True,
            "limit": 1000,
            "overridden": False,
            "overage": None,
            "failureMode": "fail_closed",
        }
        assert data["features"]["sessions"]["overage"] == {"unitAmount": 2, "currency": "usd"}

    def test_callers_see_only_their_own_entitlements(self, acme):
        EntitlementsManager(acme).grant("pro", reason="x")
        stranger = MembershipFactory().user
        client = Client()
        client.force_login(stranger)
        assert client.get("/api/entitlements").json()["plan"] == "free"

    def test_callers_without_organization_or_session_are_refused(self, db):
        client = Client()
        assert client.get("/api/entitlements").status_code == 401
        client.force_login(UserFactory())
        assert client.get("/api/entitlements").json()["code"] == "permission_denied"

    def test_a_key_without_the_scope_is_refused(self, acme):
        answer = Client().get("/api/entitlements", headers=bearer(acme, scopes=["usage:read"]))
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")

    def test_a_matching_etag_is_answered_with_304(self, acme):
        client = signed_in(acme, Role.VIEWER)
        first = client.get("/api/entitlements")
        for tag in (first["ETag"], f'"other", W/{first["ETag"]}', "*"):
            again = client.get("/api/entitlements", headers={"If-None-Match": tag})
            assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
        EntitlementsManager(acme).override("sessions", 7, reason="x")
        changed = client.get("/api/entitlements", headers={"If-None-Match": first["ETag"]})
        assert (changed.status_code, changed.json()["features"]["sessions"]["limit"]) == (200, 7)

    def test_unpaid_invoice_is_shown(self, acme):
        EntitlementsManager(acme).replace_grants(
            "subscription", [GrantSpec("pro", ends_at=now(acme), starts_at=now(acme) - timedelta(1), lapsed=True)]
        )
        assert signed_in(acme, Role.OWNER).get("/api/entitlements").json()["lapsedPlan"] == "pro"

    def test_unsupported_input_is_reported(self, acme):
        client = signed_in(acme, Role.OWNER)
        assert client.get("/api/entitlements?organization=1").status_code == 400
        assert client.delete("/api/entitlements").status_code in (403, 405)
