"""Every change that a customer can make to a subscription."""

from datetime import timedelta

import pytest

from billing.models import Invoice, SubscriptionState
from entitlements.manager import EntitlementsManager
from tests.support.api import problem
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db
ENTERPRISE = {"planTier": "enterprise", "interval": "month"}
PRO = {"planTier": "pro", "interval": "month"}


def plan_of(organization) -> str:
    return EntitlementsManager(organization).entitlements().plan


@pytest.fixture
def world(stripe_world):
    return stripe_world


class TestUpgrade:
    def test_the_preview_equals_the_invoice_to_the_cent(self, world, api, owner, acme, subscribed, clock):
        subscribed()
        world.advance(clock, days=11.37)
        world.deliver()
        result = api.post("/api/billing/preview-change", ENTERPRISE, by=owner)
        assert result.status_code == 200, result.content
        preview = result.json()
        assert (preview["when"], preview["plan"], preview["nextAmount"]) == ("now", "enterprise", 2900)
        assert 0 < preview["dueNow"] < 2000
        assert sum(line["amount"] for line in preview["lines"]) == preview["dueNow"]
        assert {line["amount"] < 0 for line in preview["lines"]} == {True, False}
        answer = api.post("/api/billing/change-plan", ENTERPRISE | {"prorationDate": preview["prorationDate"]}, by=owner)
        assert answer.status_code == 200, answer.content
        assert (answer.json()["plan"], answer.json()["amount"]) == ("enterprise", 2900)
        newest = Invoice.objects.order_by("-created_at", "-id").first()
        assert (newest.status, newest.amount_paid) == ("paid", preview["dueNow"])
        assert newest.billing_reason == "subscription_update"
        acme.refresh_from_db()
        assert plan_of(acme) == "enterprise"

    def test_an_upgrade_keeps_usage(self, world, api, owner, acme, subscribed):
        subscribed()
        UsageTracker(acme).consume("sessions", 7)
        anchor = acme.grants.get().anchor
        api.post("/api/billing/change-plan", ENTERPRISE, by=owner)
        acme.refresh_from_db()
        assert acme.grants.get(ends_at=None).anchor == anchor
        usage = {each.feature: each for each in UsageTracker(acme).current().usage}
        assert usage["sessions"].used == 7

    def test_a_declined_card_changes_nothing(self, world, api, owner, acme, customer, subscribed):
        subscribed()
        world.card(customer, "pm_card_chargeCustomerFail")
        response = api.post("/api/billing/change-plan", ENTERPRISE, by=owner)
        assert problem(response) == (402, "payment_required")
        assert SubscriptionState.objects.get().plan == "pro"
        assert plan_of(acme) == "pro"

    def test_an_upgrade_during_the_trial_charges_nothing(self, world, api, owner, acme, subscribed):
        subscribed(trial_period_days=14)
        preview = api.post("/api/billing/preview-change", ENTERPRISE, by=owner).json()
        assert (preview["when"], preview["dueNow"], preview["lines"]) == ("now", 0, [])
        data = api.post("/api/billing/change-plan", ENTERPRISE, by=owner).json()
        assert (data["status"], data["plan"]) == ("trialing", "enterprise")
        assert preview["nextAt"] == data["trialEnd"]

    def test_a_change_to_yearly_is_immediate(self, world, api, owner, acme, subscribed, clock):
        subscribed()
        world.advance(clock, days=10)
        world.deliver()
        yearly = {"planTier": "pro", "interval": "year"}
        preview = api.post("/api/billing/preview-change", yearly, by=owner).json()
        assert preview["when"] == "now"
        assert 8000 < preview["dueNow"] < 9000
        anchor = acme.grants.get().anchor
        data = api.post("/api/billing/change-plan", yearly | {"prorationDate": preview["prorationDate"]}, by=owner).json()
        assert (data["interval"], data["amount"]) == ("year", 9000)
        assert preview["nextAt"] == data["currentPeriodEnd"]
        assert Invoice.objects.order_by("-created_at", "-id").first().amount_paid == preview["dueNow"]
        # Monthly quotas continue in the same usage months.
        assert acme.grants.get(ends_at=None).anchor == anchor

    def test_an_expired_preview_is_refused(self, world, api, owner, subscribed, clock):
        subscribed()
        world.advance(clock, days=3)
        world.deliver()
        preview = api.post("/api/billing/preview-change", ENTERPRISE, by=owner).json()
        world.advance(clock, days=1)
        world.deliver()
        response = api.post("/api/billing/change-plan", ENTERPRISE | {"prorationDate": preview["prorationDate"]}, by=owner)
        assert problem(response) == (409, "preview_expired")

    def test_a_missing_payment_must_be_made_first(self, world, api, owner, customer, subscribed, clock):
        subscribed()
        world.card(customer, "pm_card_chargeCustomerFail")
        world.advance(clock, days=31.2)
        world.deliver()
        response = api.post("/api/billing/preview-change", ENTERPRISE, by=owner)
        assert problem(response) == (402, "payment_required")
        assert response.json()["invoiceUrl"].startswith(world.url)


class TestDowngrade:
    def test_a_downgrade_takes_effect_at_the_period_end(self, world, api, owner, acme, subscribed, clock):
        subscribed("enterprise")
        UsageTracker(acme).set_gauge("projects", 12)
        preview = api.post("/api/billing/preview-change", PRO, by=owner).json()
        assert (preview["when"], preview["dueNow"], preview["nextAmount"]) == ("period_end", 0, 900)
        assert preview["overLimits"] == [{"feature": "projects", "used": 12, "limit": 10}]
        data = api.post("/api/billing/change-plan", PRO, by=owner).json()
        assert data["plan"] == "enterprise"
        assert data["upcomingChange"] == {
            "kind": "plan",
            "at": data["currentPeriodEnd"],
            "plan": "pro",
            "interval": "month",
            "amount": 900,
        }
        assert data["overLimits"] == []
        world.advance(clock, days=31.2)
        world.deliver()
        data = api.get("/api/billing/subscription", by=owner).json()
        assert (data["plan"], data["amount"], data["upcomingChange"]) == ("pro", 900, None)
        assert data["overLimits"] == [{"feature": "projects", "used": 12, "limit": 10}]
        assert Invoice.objects.order_by("-created_at", "-id").first().total == 900

    def test_a_scheduled_downgrade_can_be_canceled(self, world, api, owner, acme, subscribed, clock):
        subscribed("enterprise")
        api.post("/api/billing/change-plan", PRO, by=owner)
        result = api.delete("/api/billing/subscription/upcoming-change", by=owner)
        assert result.status_code == 200
        assert result.json()["upcomingChange"] is None
        assert problem(api.delete("/api/billing/subscription/upcoming-change", by=owner)) == (409, "nothing_to_change")
        world.advance(clock, days=31.2)
        world.deliver()
        assert api.get("/api/billing/subscription", by=owner).json()["plan"] == "enterprise"

    def test_an_upgrade_replaces_the_scheduled_downgrade(self, world, api, owner, acme, subscribed):
        subscribed()
        api.post("/api/billing/change-plan", {"planTier": "pro", "interval": "year"}, by=owner)
        api.post("/api/billing/change-plan", PRO, by=owner)
        assert api.get("/api/billing/subscription", by=owner).json()["upcomingChange"]["interval"] == "month"
        data = api.post("/api/billing/change-plan", {"planTier": "enterprise", "interval": "year"}, by=owner).json()
        assert (data["plan"], data["upcomingChange"]) == ("enterprise", None)

    def test_another_downgrade_replaces_the_scheduled_one(self, world, api, owner, acme, subscribed):
        subscribed("enterprise", "year")
        api.post("/api/billing/change-plan", {"planTier": "pro", "interval": "year"}, by=owner)
        data = api.post("/api/billing/change-plan", PRO, by=owner).json()
        assert data["upcomingChange"]["interval"] == "month"

    def test_a_downgrade_is_refused_after_a_cancellation(self, world, api, owner, subscribed):
        subscribed("enterprise")
        api.post("/api/billing/cancel", {}, by=owner)
        assert problem(api.post("/api/billing/change-plan", PRO, by=owner)) == (409, "cancellation_pending")

    def test_a_downgrade_keeps_the_discount(self, world, api, owner, subscribed, clock):
        coupon = world.sdk.coupons.create({"percent_off": 50, "duration": "forever"})
        subscribed("enterprise", discounts=[{"coupon": coupon.id}])
        api.post("/api/billing/change-plan", PRO, by=owner)
        world.advance(clock, days=31.2)
        world.deliver()
        assert api.get("/api/billing/subscription", by=owner).json()["plan"] == "pro"
        assert Invoice.objects.order_by("-created_at", "-id").first().total == 450


class TestEnding:
    def test_a_cancellation_at_the_period_end_can_be_undone(self, world, api, owner, acme, subscribed, clock):
        subscribed()
        data = api.post("/api/billing/cancel", {"at": "period_end"}, by=owner).json()
        assert data["status"] == "active"
        assert data["cancelAt"] == data["currentPeriodEnd"] == data["upcomingChange"]["at"]
        assert data["upcomingChange"]["kind"] == "cancellation"
        assert problem(api.post("/api/billing/cancel", {}, by=owner)) == (409, "nothing_to_change")
        data = api.post("/api/billing/resume", {}, by=owner).json()
        assert (data["cancelAt"], data["upcomingChange"]) == (None, None)
        assert problem(api.post("/api/billing/resume", {}, by=owner)) == (409, "nothing_to_change")
        world.advance(clock, days=31.2)
        world.deliver()
        assert api.get("/api/billing/subscription", by=owner).json()["status"] == "active"

    def test_a_cancellation_takes_effect_at_the_period_end(self, world, api, owner, acme, subscribed, clock):
        subscribed()
        api.post("/api/billing/cancel", {}, by=owner)
        world.advance(clock, days=31.2)
        world.deliver()
        data = api.get("/api/billing/subscription", by=owner).json()
        assert (data["plan"], data["status"]) == ("free", "canceled")

    def test_after_a_cancellation_there_is_no_second_trial(self, world, api, owner, acme, subscribed):
        subscribed(trial_period_days=14)
        data = api.post("/api/billing/cancel", {"at": "now"}, by=owner).json()
        assert (data["plan"], data["status"], data["trialAvailable"]) == ("free", "canceled", False)
        again = api.post("/api/billing/create-checkout-session", PRO, by=owner)
        assert again.status_code == 200
        session = world.sdk.checkout.sessions.retrieve(again.json()["sessionId"])
        assert session.amount_total == 900

    def test_a_cancellation_replaces_a_scheduled_downgrade(self, world, api, owner, acme, subscribed, clock):
        subscribed("enterprise")
        api.post("/api/billing/change-plan", PRO, by=owner)
        data = api.post("/api/billing/cancel", {}, by=owner).json()
        assert data["upcomingChange"]["kind"] == "cancellation"
        world.advance(clock, days=31.2)
        world.deliver()
        assert api.get("/api/billing/subscription", by=owner).json()["plan"] == "free"

    def test_a_cancellation_date_of_the_dashboard_can_be_removed(self, world, api, owner, acme, subscribed):
        subscription = subscribed()
        state = SubscriptionState.objects.get()
        at = int((state.current_period_end + timedelta(days=5)).timestamp())
        world.sdk.subscriptions.update(subscription.id, {"cancel_at": at})
        world.deliver()
        assert api.get("/api/billing/subscription", by=owner).json()["cancelAt"]
        assert api.post("/api/billing/resume", {}, by=owner).json()["cancelAt"] is None

    def test_a_change_at_stripe_is_detected(self, world, api, owner, acme, subscribed):
        subscription = subscribed()
        world.sdk.subscriptions.cancel(subscription.id)
        assert problem(api.post("/api/billing/cancel", {"at": "now"}, by=owner)) == (409, "no_subscription")
        assert plan_of(acme) == "free"


WRITES = [
    ("post", "/api/billing/change-plan", ENTERPRISE),
    ("post", "/api/billing/cancel", {}),
    ("post", "/api/billing/resume", {}),
    ("delete", "/api/billing/subscription/upcoming-change", None),
    ("put", "/api/billing/overage", {"enabled": False}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_only_an_owner_can_change_the_subscription(world, method, path, body, api, owner, admin, member, viewer, stranger):
    arguments = () if body is None else (body,)
    assert problem(getattr(api, method)(path, *arguments)) == (401, "credentials_missing")
    for person in (admin, member, viewer):
        assert problem(getattr(api, method)(path, *arguments, by=person))[0] == 403
    for person in (owner, stranger):
        assert problem(getattr(api, method)(path, *arguments, by=person)) == (409, "no_subscription")


@pytest.mark.parametrize("path", ["/api/billing/preview-change", "/api/billing/change-plan"])
@pytest.mark.parametrize("body", [{"planTier": "free"}, {"planTier": "gold"}, {"planTier": []}, {"planTier": "pro", "interval": "day"}, {}])
def test_invalid_plan_changes(world, api, owner, subscribed, path, body):
    subscribed()
    assert problem(api.post(path, body, by=owner)) == (422, "validation_error")


def test_the_current_plan_is_no_change(world, api, owner, subscribed):
    subscribed()
    assert problem(api.post("/api/billing/preview-change", PRO, by=owner)) == (409, "nothing_to_change")
