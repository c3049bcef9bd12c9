"""Plan changes whose payment the customer must authenticate."""

import pytest
import requests

from accounts.models import AuditEvent
from billing.models import BillingAction, Invoice
from billing.subscriptions import plan_migration
from tests.factories.billing import plan_of
from tests.support.api import problem

pytestmark = pytest.mark.django_db
CHANGE, CANCEL, SUBSCRIPTION = "/api/billing/change-plan", "/api/billing/cancel", "/api/billing/subscription"
UPCOMING = "/api/billing/subscription/upcoming-change"
ENTERPRISE, YEARLY = {"planTier": "enterprise", "interval": "month"}, {"planTier": "pro", "interval": "year"}
PRO = {"planTier": "pro", "interval": "month"}
ASKS = "pm_card_authenticationRequired"


def confirm(payer, url: str, answer: str = "authenticate") -> None:
    """Follow the invoice page to the authentication page, and answer it."""
    page = requests.get(url, timeout=30).text
    (path,) = [part.split('"')[0] for part in page.split('href="') if part.startswith("/3ds/")]
    assert requests.post(f"{payer.world.url}{path}", data={"action": answer}, allow_redirects=False, timeout=30).is_redirect
    payer.world.deliver()


@pytest.fixture
def pending_change(payer, api, owner):
    """Pro with an upgrade to Enterprise that waits for payment confirmation. Returns the error document."""
    payer.buy()
    payer.later(10)
    payer.world.card(payer.customer, ASKS)
    response = api.post(CHANGE, ENTERPRISE, by=owner)
    assert problem(response) == (402, "payment_confirmation_required")
    return response.json()


def test_the_confirmation_url_is_returned_and_nothing_changes(payer, api, owner, acme, pending_change):
    assert pending_change["url"].startswith(payer.world.url)
    data = api.get(SUBSCRIPTION, by=owner).json()
    assert (data["plan"], data["status"], data["amount"]) == ("pro", "active", 900)
    waits = data["pendingChange"]
    assert (waits["plan"], waits["interval"], waits["url"], waits["expiresAt"]) == (
        "enterprise",
        "month",
        pending_change["url"],
        pending_change["expiresAt"],
    )
    assert (
        waits["amount"]
        == payer.world.sdk.subscriptions.retrieve(
            payer.state.stripe_subscription_id, {"expand": ["latest_invoice"]}
        ).latest_invoice.amount_due
    )
    assert plan_of(acme) == "pro"


def test_the_confirmed_payment_equals_the_preview(payer, api, owner, acme):
    payer.buy()
    payer.later(10)
    payer.world.card(payer.customer, ASKS)
    data = api.post("/api/billing/preview-change", ENTERPRISE, by=owner).json()
    response = api.post(CHANGE, ENTERPRISE | {"prorationDate": data["prorationDate"]}, by=owner).json()
    confirm(payer, response["url"])
    assert plan_of(acme) == "enterprise"
    assert api.get(SUBSCRIPTION, by=owner).json()["pendingChange"] is None
    newest = Invoice.objects.order_by("-created_at", "-id").first()
    assert (newest.status, newest.amount_paid) == ("paid", data["dueNow"])
    assert BillingAction.objects.get(kind="change_plan").state == "done"
    assert AuditEvent.objects.filter(action="billing.change_plan").count() == 1


def test_a_repeated_request_returns_the_same_page(payer, api, owner, pending_change):
    bills = Invoice.objects.count()
    again = api.post(CHANGE, ENTERPRISE, by=owner)
    assert problem(again) == (402, "payment_confirmation_required")
    assert again.json()["url"] == pending_change["url"]
    assert Invoice.objects.count() == bills


def test_an_unconfirmed_change_expires_after_23_hours(payer, api, owner, pending_change):
    payer.later(1)
    data = api.get(SUBSCRIPTION, by=owner).json()
    assert (data["plan"], data["pendingChange"], data["status"]) == ("pro", None, "active")
    assert Invoice.objects.order_by("-created_at", "-id").first().status == "void"
    assert BillingAction.objects.get(kind="change_plan").state == "failed"
    assert not AuditEvent.objects.filter(action="billing.change_plan").exists()


def test_a_denied_payment_can_be_paid_with_another_card(payer, api, owner, acme, pending_change):
    confirm(payer, pending_change["url"], "deny")
    assert api.get(SUBSCRIPTION, by=owner).json()["status"] == "active"
    requests.post(pending_change["url"], data={"cardNumber": "4242424242424242"}, timeout=30)
    payer.world.deliver()
    assert plan_of(acme) == "enterprise"


def test_a_pending_change_can_be_discarded(payer, api, owner, acme, pending_change):
    data = api.delete(UPCOMING, by=owner).json()
    assert (data["plan"], data["pendingChange"]) == ("pro", None)
    assert problem(api.delete(UPCOMING, by=owner)) == (409, "nothing_to_change")
    assert Invoice.objects.order_by("-created_at", "-id").first().status == "void"
    payer.world.card(payer.customer)
    assert api.post(CHANGE, ENTERPRISE, by=owner).json()["plan"] == "enterprise"


def test_another_change_replaces_the_pending_one(payer, api, owner, pending_change):
    response = api.post(CHANGE, YEARLY, by=owner)
    assert problem(response) == (402, "payment_confirmation_required")
    assert response.json()["url"] != pending_change["url"]
    assert api.get(SUBSCRIPTION, by=owner).json()["pendingChange"]["interval"] == "year"
    assert Invoice.objects.filter(status="open").count() == 1


def test_a_cancellation_discards_the_pending_change(payer, api, owner, pending_change):
    data = api.post(CANCEL, {}, by=owner).json()
    assert (data["pendingChange"], data["upcomingChange"]["kind"]) == (None, "cancellation")
    assert not Invoice.objects.filter(status="open").exists()


def test_a_new_card_does_not_confirm_the_change(payer, api, owner, acme, pending_change):
    payer.world.card(payer.customer)
    payer.world.deliver()
    assert plan_of(acme) == "pro"
    assert api.get(SUBSCRIPTION, by=owner).json()["pendingChange"]


def test_a_scheduled_downgrade_is_kept_until_confirmation(payer, api, owner, acme):
    payer.buy("pro", "year")
    api.post(CHANGE, PRO, by=owner)
    payer.world.card(payer.customer, ASKS)
    response = api.post(CHANGE, {"planTier": "enterprise", "interval": "year"}, by=owner)
    assert problem(response) == (402, "payment_confirmation_required")
    assert api.get(SUBSCRIPTION, by=owner).json()["upcomingChange"]["interval"] == "month"
    confirm(payer, response.json()["url"])
    data = api.get(SUBSCRIPTION, by=owner).json()
    assert (data["plan"], data["interval"], data["upcomingChange"]) == ("enterprise", "year", None)


def test_overage_and_migrations_wait_for_the_confirmation(payer, api, owner, pending_change):
    response = api.put("/api/billing/overage", {"enabled": True, "cap": 500}, by=owner)
    assert problem(response) == (409, "change_awaits_payment")
    assert response.json()["url"] == pending_change["url"]
    assert all("waiting for payment confirmation" in move.refused for move in plan_migration.preview_migrations("pro"))


def test_overage_ends_after_a_change_to_a_plan_that_sells_none(payer, api, owner, acme):
    payer.buy()
    assert api.put("/api/billing/overage", {"enabled": True, "cap": 500}, by=owner).status_code == 200
    payer.world.card(payer.customer, ASKS)
    response = api.post(CHANGE, ENTERPRISE, by=owner)
    assert problem(response) == (402, "payment_confirmation_required")
    confirm(payer, response.json()["url"])
    assert plan_of(acme) == "enterprise"
