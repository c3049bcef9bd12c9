"""GET /api/organization: the summary of identity, entitlements and billing."""

import pytest

from billing.models import BillingAccount
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import key_of
from tests.support.api import problem

MEMBERS = ["owner", "admin", "member", "viewer"]


@pytest.mark.parametrize("who", MEMBERS)
def test_members_read_it_signed_in_and_with_a_key(people, api, sign_in, who):
    person = people[who]
    for answer in (sign_in(person).get("/api/organization"), api.get("/api/organization", by=person)):
        data = answer.json()
        assert (answer.status_code, data["name"], data["plan"], data["planVersion"], data["status"]) == (200, "Acme", "free", 1, "none")
        assert (data["membersCount"], data["stripeCustomerId"], data["email"]) == (4, None, "owner@acme.example")


def test_the_response_contains_plan_and_customer(owner, api):
    EntitlementsManager(owner.organization).grant("pro", reason="x")
    BillingAccount.objects.create(organization=owner.organization, stripe_customer_id="cus_1")
    data = api.get("/api/organization", by=owner).json()
    assert (data["plan"], data["stripeCustomerId"]) == ("pro", "cus_1")


def test_callers_read_only_their_own_organization(people, api):
    assert api.get("/api/organization", by=people["stranger"]).json()["name"] == "Elsewhere"
    assert problem(api.get("/api/organization")) == (401, "credentials_missing")
    assert problem(api.get("/api/organization", by="cmcp_sk_test_nonsense")) == (401, "invalid_key_format")


def test_a_key_needs_the_scope(owner, api):
    key = key_of(owner.membership, ["usage:read"])
    assert problem(api.get("/api/organization", by=key)) == (403, "insufficient_scope")
    assert problem(api.post("/api/organization", {}, by=owner)) == (405, "method_not_allowed")
