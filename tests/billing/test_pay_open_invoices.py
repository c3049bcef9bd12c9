"""A new card pays the open invoices of active subscriptions, and nothing else."""

import pytest
import requests

from accounts.models import OperatorAlert
from billing.manager import BillingManager
from billing.subscriptions import pay_open_invoices
from tests.factories.billing import price_of
from tests.support.api import problem

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("status", "days"), [("past_due", 31.2), ("unpaid", 45)])
def test_a_card_added_after_a_removal_pays(payer, status, days):
    payer.world.control("dunning", retries=[5, 10], final="unpaid")
    payer.buy()
    payer.declines()
    payer.later(days)
    assert payer.state.status == status
    payer.no_cards()
    payer.world.deliver()
    payer.world.card(payer.customer)
    payer.world.deliver()
    assert payer.state.status == "active"


def test_the_first_card_after_a_trial_pays_the_invoice(payer):
    payer.no_cards()
    payer.buy(trial_period_days=14)
    payer.later(14.2)
    assert payer.state.status == "past_due"
    payer.world.card(payer.customer)
    payer.world.deliver()
    assert payer.state.status == "active"


def test_the_card_of_the_first_sync_is_not_charged(payer, monkeypatch):
    tried = []
    monkeypatch.setattr(pay_open_invoices.invoices, "pay", lambda *args, **options: tried.append(args))
    payer.declines()
    payer.buy(payment_behavior="allow_incomplete")
    assert payer.state.status == "incomplete"
    assert tried == []


def test_returning_customer_pays_no_invoices_of_ended_subscriptions(payer, acme, api, owner):
    payer.buy()
    payer.declines()
    payer.later(31.2)
    api.post("/api/billing/cancel", {"at": "now"}, by=owner)
    payer.world.deliver()
    payer.later(60)
    payer.world.card(payer.customer)
    payer.world.subscribe(payer.customer, price_of())
    payer.world.deliver()
    pay_open_invoices.pay_open_invoices(payer.customer, payer.account.payment_method["id"])
    assert payer.plan == "pro"
    assert [invoice.status for invoice in acme.invoices.order_by("created_at")] == ["paid", "open", "paid"]


@pytest.fixture
def unpaid(payer):
    """Unpaid for more than a month, so Stripe has created the draft of the next invoice."""
    payer.world.control("dunning", retries=[1, 2], final="unpaid")
    payer.buy()
    payer.declines()
    payer.later(35)
    assert payer.state.status == "unpaid"
    payer.later(30)
    assert (payer.state.status, payer.plan) == ("unpaid", "free")
    return payer


def test_the_latest_invoice_of_an_unpaid_subscription_can_be_paid(unpaid, acme, api, owner):
    latest = unpaid.state.latest_invoice_id
    invoice = unpaid.world.sdk.invoices.retrieve(latest)
    assert (invoice.status, invoice.attempted) == ("open", False)
    url = invoice.hosted_invoice_url
    banner = BillingManager(acme).dunning()
    assert (banner.stage, banner.invoice_url) == ("over", url)
    assert api.get("/api/billing/subscription", by=owner).json()["invoiceUrl"] == url
    answer = api.post("/api/billing/change-plan", {"planTier": "enterprise"}, by=owner)
    assert problem(answer) == (402, "payment_required")
    assert answer.json()["invoiceUrl"] == url
    answer = api.post("/api/billing/create-checkout-session", {"planTier": "pro"}, by=owner)
    assert problem(answer) == (409, "unpaid_invoice")
    assert (answer.json()["invoiceUrl"], answer.json()["subscriptionStatus"]) == (url, "unpaid")
    assert requests.post(url, data={"cardNumber": "4242424242424242"}, timeout=30).status_code == 200
    unpaid.world.deliver()
    assert (unpaid.state.status, unpaid.plan) == ("active", "pro")


def test_a_new_card_reactivates_an_unpaid_subscription(unpaid):
    unpaid.world.card(unpaid.customer)
    unpaid.world.deliver()
    assert (unpaid.state.status, unpaid.plan) == ("active", "pro")


def test_a_failed_finalization_alerts_the_operator(unpaid, acme):
    unpaid.world.control("refusals", prefix="/v1/invoices/", message="Invoices cannot be finalized.")
    unpaid.later(31)
    alert = OperatorAlert.objects.get()
    assert (alert.code, alert.organization) == ("stripe_rejected", acme)


def test_invoice_for_a_month_without_access_is_voided_by_the_next_one(unpaid, acme):
    former = unpaid.state.latest_invoice_id
    unpaid.later(31)
    statuses = dict(acme.invoices.values_list("stripe_invoice_id", "status"))
    assert (statuses[former], statuses[unpaid.state.latest_invoice_id]) == ("void", "open")
    assert sorted(statuses.values()) == ["open", "open", "paid", "void"]
    assert unpaid.state.status == "unpaid"


def test_a_change_of_an_unpaid_subscription_finalizes_its_invoice(unpaid, api, owner):
    unpaid.world.advance(unpaid.clock, days=31)
    answer = api.post("/api/billing/change-plan", {"planTier": "enterprise"}, by=owner)
    assert problem(answer) == (402, "payment_required")
    assert answer.json()["invoiceUrl"] == unpaid.world.sdk.invoices.retrieve(unpaid.state.latest_invoice_id).hosted_invoice_url
