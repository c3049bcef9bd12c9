"""How the default payment method is displayed to customers."""

import pytest
from django.urls import reverse

from billing import payment_methods
from billing.sync.customer import sync_customer
from tests.billing.test_overage import report, use
from tests.factories.billing import price_of

pytestmark = pytest.mark.django_db
KINDS = {
    "card": ({"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2034}, "Visa ending in 4242"),
    "link": ({"email": "ada@example.com"}, "Link (ada@example.com)"),
    "paypal": ({"payer_email": "ada@example.com", "payer_id": "X"}, "PayPal (ada@example.com)"),
    "sepa_debit": ({"last4": "3201", "bank_code": "19043", "country": "AT"}, "SEPA Direct Debit ending in 3201"),
    "us_bank_account": ({"bank_name": "STRIPE TEST BANK", "last4": "6789"}, "Bank account (STRIPE TEST BANK) ending in 6789"),
    "some_new_wallet": ({}, "Some new wallet"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_name(kind):
    details, label = KINDS[kind]
    row = payment_methods.to_row({"id": "pm_1", "type": kind, kind: details})
    method = payment_methods.from_row(row)
    assert (method.type, method.display_name) == (kind, label)
    assert method.last4 == details.get("last4")
    assert method.exp_year == details.get("exp_year")


def test_a_bank_account_is_shown(stripe_world, payer, api, owner, sign_in_as):
    sdk = stripe_world.sdk
    method = sdk.payment_methods.create(
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": "AT611904300234573201"},
            "billing_details": {"name": "Olga Owner", "email": "owner@acme.example"},
        }
    )
    sdk.payment_methods.attach(method.id, {"customer": payer.customer})
    sdk.customers.update(payer.customer, {"invoice_settings": {"default_payment_method": method.id}})
    sync_customer(payer.customer)
    result = api.get("/api/billing/subscription", by=owner).json()["paymentMethod"]
    assert result == {
        "type": "sepa_debit",
        "displayName": "SEPA Direct Debit ending in 3201",
        "brand": None,
        "last4": "3201",
        "expMonth": None,
        "expYear": None,
    }
    page = sign_in_as(owner).get(reverse("billing")).text
    assert "SEPA Direct Debit ending in 3201" in page
    assert "No payment method." not in page
    assert "Expires" not in page
    subscription = payer.buy(default_payment_method=method.id)
    assert subscription.status == "active"
    upgrade = sign_in_as(owner).get(reverse("preview-change"), {"plan": "enterprise", "interval": "month"}).text
    assert "Charged to SEPA Direct Debit ending in 3201." in upgrade


def test_a_card_is_shown(payer, api, owner, sign_in_as):
    assert "No payment method." in sign_in_as(owner).get(reverse("billing")).text
    payer.buy()
    result = api.get("/api/billing/subscription", by=owner).json()["paymentMethod"]
    assert (result["type"], result["brand"], result["last4"], result["displayName"]) == ("card", "visa", "4242", "Visa ending in 4242")
    page = sign_in_as(owner).get(reverse("billing")).text
    assert "Visa ending in 4242" in page
    assert "Expires 12/2034" in page


class TestOverageOnAnInvoice:
    """The cap applies to a usage month. An invoice after a change of the interval covers parts of two of them."""

    PATH = "/api/billing/overage"

    def test_it_is_the_cap_if_months_and_invoices_align(self, payer, api, owner, sign_in_as):
        payer.buy()
        assert api.put(self.PATH, {"enabled": True, "cap": 60}, by=owner).json()["maxPerInvoice"] == 60
        payer.world.deliver()
        payer.later(40)
        assert api.get("/api/billing/subscription", by=owner).json()["overage"]["maxPerInvoice"] == 60
        assert "two usage months" not in sign_in_as(owner).get(reverse("billing")).text
        assert api.put(self.PATH, {"enabled": False}, by=owner).json()["maxPerInvoice"] is None

    def test_it_is_twice_the_cap_after_a_change_of_interval(self, payer, api, owner, sign_in_as):
        payer.buy()
        api.put(self.PATH, {"enabled": True, "cap": 60}, by=owner)
        payer.world.deliver()
        payer.later(10)
        browser = sign_in_as(owner)
        page = browser.get(reverse("preview-change"), {"plan": "pro", "interval": "year"}).text
        assert "one invoice can include two usage months, up to $1.20" in page
        assert api.post("/api/billing/change-plan", {"planTier": "pro", "interval": "year"}, by=owner).status_code == 200
        payer.world.deliver()
        assert payer.state.stripe_price_id == price_of("pro", "year")
        result = api.get("/api/billing/subscription", by=owner).json()["overage"]
        assert (result["cap"], result["maxPerInvoice"]) == (60, 120)
        assert "up to $1.20" in browser.get(reverse("billing")).text

    def test_no_invoice_exceeds_the_stated_maximum(self, payer, api, owner):
        payer.buy()
        api.put(self.PATH, {"enabled": True, "cap": 60}, by=owner)
        payer.world.deliver()
        payer.later(10)
        api.post("/api/billing/change-plan", {"planTier": "pro", "interval": "year"}, by=owner)
        payer.world.deliver()
        limit = api.get("/api/billing/subscription", by=owner).json()["overage"]["maxPerInvoice"]
        payer.later(1)  # A report is dated a second back, which must not be before the change.
        use(payer.organization, 1030)  # The first usage month and its whole cap, after the change.
        report(payer)
        payer.later(24)  # The second usage month has started, but the metered item's month has not ended.
        use(payer.organization, 1030)
        report(payer)
        payer.later(10)
        overage = [
            sum(line["amount"] for line in invoice.lines if not line["proration"] and line["amount"] in (60, 120))
            for invoice in payer.organization.invoices.all()
        ]
        assert max(overage) == limit == 120
