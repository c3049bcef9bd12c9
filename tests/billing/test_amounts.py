"""Every displayed amount is what will be charged, including quantity, discounts and scheduled changes."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from billing import amounts
from billing.errors import StripeUnavailable
from billing.manager import BillingManager
from billing.models import Invoice
from billing.notifications import deliver as sender
from billing.stripe.gateway import invoices
from tests.factories.billing import price_of
from tests.support.stripe import DAY

pytestmark = pytest.mark.django_db
SUBSCRIPTION, PREVIEW, CHANGE = "/api/billing/subscription", "/api/billing/preview-change", "/api/billing/change-plan"
ENTERPRISE, PRO = {"planTier": "enterprise", "interval": "month"}, {"planTier": "pro", "interval": "month"}


def newest() -> Invoice:
    row = Invoice.objects.order_by("-created_at", "-id").first()
    assert row is not None
    return row


@pytest.fixture
def buy(payer):
    """`buy(quantity=5, percent=50)` subscribes to Pro with such a coupon."""

    def subscribe(plan="pro", *, quantity=1, coupon=None, **more):
        row = {"price": price_of(plan), "quantity": quantity}
        discounts = {"discounts": [{"coupon": payer.world.sdk.coupons.create(coupon).id}]} if coupon else {}
        payer.world.sdk.subscriptions.create({"customer": payer.customer, "items": [row], **discounts, **more})
        payer.world.deliver()
        payer.organization.refresh_from_db()
        return payer

    return subscribe


HALF = {"percent_off": 50, "duration": "forever", "name": "Half off"}


def test_the_amount_includes_the_quantity(buy, api, owner):
    payer = buy(quantity=5)
    data = api.get(SUBSCRIPTION, by=owner).json()
    assert (data["amount"], data["quantity"], data["formattedAmount"], data["discountedAmount"]) == (4500, 5, "$45.00", 4500)
    assert BillingManager(payer.organization).next_payment().amount == 4500
    payer.later(31.2)
    assert newest().total == 4500


def test_the_amount_due_includes_the_discount(buy, api, owner):
    payer = buy(quantity=2, coupon=HALF)
    data = api.get(SUBSCRIPTION, by=owner).json()
    assert (data["amount"], data["discountedAmount"]) == (1800, 900)
    payment = BillingManager(payer.organization).next_payment()
    assert (payment.amount, payment.discount, payment.regular, payment.exact) == (900, 900, 900, True)
    payer.later(31.2)
    assert newest().total == 900


def test_the_trial_reminder_contains_the_first_payment(buy):
    payer = buy(coupon=HALF, trial_period_days=14)
    payer.later(12)
    sender.deliver_due()
    (email,) = [each for each in mail.outbox if "trial ends" in each.subject]
    assert "$4.50" in email.body and "after a discount of $4.50" in email.body
    payer.later(2.2)
    assert newest().total == 450


def test_a_preview_contains_the_next_periods_amount(buy, api, owner):
    payer = buy("enterprise", quantity=3, coupon=HALF)
    payload = api.post(PREVIEW, PRO, by=owner).json()
    assert (payload["when"], payload["nextAmount"]) == ("period_end", 1350)
    data = api.post(CHANGE, PRO, by=owner).json()
    assert data["upcomingChange"]["amount"] == 2700
    assert BillingManager(payer.organization).next_payment().amount == 1350
    payer.later(31.2)
    assert newest().total == 1350


def test_a_discount_that_ends_before_the_renewal_is_excluded(buy, api, owner):
    payer = buy("enterprise", coupon={"percent_off": 50, "duration": "repeating", "duration_in_months": 1})
    data = api.post(PREVIEW, PRO, by=owner).json()
    assert data["nextAmount"] == 900
    api.post(CHANGE, PRO, by=owner)
    payer.later(31.2)
    assert newest().total == 900


@pytest.mark.parametrize("at_once", [False, True])
def test_ended_discounts_are_excluded(payer, api, owner, at_once):
    """The order of the subscription's items does not matter, nor whether the yearly plan was an upgrade in between."""
    coupon = payer.world.sdk.coupons.create
    short = coupon({"amount_off": 300, "currency": "usd", "duration": "repeating", "duration_in_months": 2})
    lasting = coupon({"percent_off": 10, "duration": "forever"})
    discounts = [{"coupon": short.id}, {"coupon": lasting.id}]
    payer.buy("pro" if at_once else "enterprise", "year", discounts=discounts)
    payer.later(20)
    if at_once:
        assert api.post(CHANGE, {"planTier": "enterprise", "interval": "year"}, by=owner).status_code == 200
    data = api.post(PREVIEW, ENTERPRISE, by=owner).json()
    assert api.post(CHANGE, ENTERPRISE, by=owner).status_code == 200
    for _ in range(7):
        payer.later(50)
    assert (payer.state.interval, data["nextAmount"]) == ("month", 2610)
    bill = Invoice.objects.filter(lines__0__period_start=int(payer.state.current_period_start.timestamp())).get()
    assert bill.total == 2610


def test_upgrade_with_a_quantity_costs_the_previewed_amount(buy, api, owner):
    payer = buy(quantity=5, coupon=HALF)
    payer.later(11)
    data = api.post(PREVIEW, ENTERPRISE, by=owner).json()
    assert data["nextAmount"] == 5 * 2900 // 2
    assert api.post(CHANGE, ENTERPRISE | {"prorationDate": data["prorationDate"]}, by=owner).status_code == 200
    assert newest().amount_paid == data["dueNow"]
    payer.later(20.5)
    assert newest().total == data["nextAmount"]


def test_during_a_trial_the_preview_contains_the_first_payment(buy, api, owner):
    payer = buy(quantity=2, coupon=HALF, trial_period_days=14)
    data = api.post(PREVIEW, ENTERPRISE, by=owner).json()
    assert (data["dueNow"], data["nextAmount"]) == (0, 2900)
    api.post(CHANGE, ENTERPRISE, by=owner)
    payer.later(14.2)
    assert newest().total == 2900


def test_a_canceled_subscription_has_no_next_payment(buy, api, owner):
    payer = buy()
    api.post("/api/billing/cancel", {}, by=owner)
    assert BillingManager(payer.organization).next_payment() is None


def test_the_next_payment_is_the_earliest_one(payer):
    """A yearly plan and a monthly item on one subscription: the next invoice comes in a month, and is not the plan's."""
    product = payer.world.sdk.products.create({"name": "Support contract"}).id
    params = {"product": product, "unit_amount": 1999, "currency": "usd", "recurring": {"interval": "month"}}
    items = [{"price": price_of("pro", "year")}, {"price": payer.world.sdk.prices.create(params).id}]
    payer.world.sdk.subscriptions.create({"customer": payer.customer, "items": items})
    payer.world.deliver()
    payment = BillingManager(payer.organization).next_payment()
    assert payment.amount == 1999
    assert timedelta(days=27) < payment.at - payer.state.started_at < timedelta(days=32)
    payer.later(31.2)
    assert (newest().total, newest().created_at) == (payment.amount, payment.at)


def test_a_later_cancellation_keeps_the_next_payment(buy):
    payer = buy()
    end = int(payer.state.current_period_end.timestamp()) + 10 * DAY
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"cancel_at": end, "proration_behavior": "none"})
    payer.world.deliver()
    payment = BillingManager(payer.organization).next_payment()
    payer.later(31.2)
    assert (payment.amount, payment.at) == (newest().total, newest().created_at)


@pytest.mark.parametrize("behavior", ["cancel", "pause"])
def test_a_trial_without_a_card_has_no_next_payment(payer, behavior):
    payer.no_cards()
    payer.buy(trial_period_days=7, trial_settings={"end_behavior": {"missing_payment_method": behavior}})
    assert BillingManager(payer.organization).next_payment() is None


def test_an_unpaid_subscription_has_no_next_payment(payer):
    payer.world.control("dunning", final="unpaid")
    payer.buy()
    payer.declines()
    payer.later(31.5)
    payer.later(30)
    assert payer.state.status == "unpaid"
    assert BillingManager(payer.organization).next_payment() is None


def test_during_an_outage_the_amount_is_estimated(buy, monkeypatch):
    payer = buy(quantity=2, coupon=HALF)

    def away(**params):
        raise StripeUnavailable

    monkeypatch.setattr(invoices, "preview", away)
    payment = BillingManager(payer.organization).next_payment()
    assert (payment.amount, payment.exact, payment.at) == (900, False, payer.state.current_period_end)


END = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("discounts", "remaining"),
    [
        ([], 1000),
        ([{"percent_off": 12.5}], 875),
        ([{"amount_off": 300, "currency": "usd"}], 700),
        ([{"amount_off": 300, "currency": "eur"}], 1000),
        ([{"amount_off": 5000, "currency": "usd"}], 0),
        ([{"percent_off": 50}, {"amount_off": 100, "currency": "usd"}], 400),
        ([{"percent_off": 50, "end": int(END.timestamp())}], 1000),
    ],
)
def test_discounts_are_applied_in_order(discounts, remaining):
    assert amounts.after_discounts(1000, discounts, "usd", END) == remaining
