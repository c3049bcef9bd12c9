"""Promotion codes on the page before Checkout: their effect, and why one cannot be used."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.urls import reverse

from billing import customers
from billing.manager import BillingManager
from contextmcp.common.clock import now
from tests.factories.billing import Payer

PRO = {"plan": "pro", "interval": "month"}


@pytest.fixture
def code(stripe_world):
    """`code("SAVE", percent_off=20)` creates a promotion code with such a coupon. Its own parameters are in `code`."""

    def create(text, code=None, **coupon):
        created = stripe_world.sdk.coupons.create({"duration": "forever"} | coupon)
        terms = {"promotion": {"type": "coupon", "coupon": created.id}, "code": text}
        return stripe_world.sdk.promotion_codes.create(terms | (code or {}))

    return create


@pytest.mark.parametrize(
    ("coupon", "interval", "effect"),
    [
        ({"percent_off": 20}, "month", "$7.20 per month instead of $9.00 per month, for as long as you subscribe."),
        ({"percent_off": 20}, "year", "$72.00 per year instead of $90.00 per year, for as long as you subscribe."),
        ({"percent_off": 50, "duration": "once"}, "month", "$4.50 for the first month, then $9.00 per month."),
        (
            {"percent_off": 50, "duration": "repeating", "duration_in_months": 3},
            "month",
            "$4.50 per month for 3 months, then $9.00 per month.",
        ),
        ({"percent_off": 50, "duration": "repeating", "duration_in_months": 3}, "year", "$45.00 for the first year, then $90.00 per year."),
        (
            {"percent_off": 50, "duration": "repeating", "duration_in_months": 24},
            "year",
            "$45.00 per year for 2 years, then $90.00 per year.",
        ),
        ({"amount_off": 1000, "currency": "usd", "duration": "once"}, "month", "$0.00 for the first month, then $9.00 per month."),
    ],
)
def test_the_effect_is_shown_before_paying(code, owner, sign_in, coupon, interval, effect):
    code("SAVE", **coupon)
    page = sign_in(owner).get(reverse("choose-plan"), {"plan": "pro", "interval": interval, "promotion_code": "save"}).text
    assert effect in page
    assert '<input type="hidden" name="promotion_code" value="SAVE">' in page


def test_the_shown_price_is_the_one_that_stripe_charges(code, owner, sign_in, stripe_world, acme):
    code("HALF", percent_off=33.3)
    effect = BillingManager(acme).promotion_effect("pro", "month", "HALF")
    assert sign_in(owner).post(reverse("checkout"), PRO | {"promotion_code": "HALF"}).url.startswith(stripe_world.url)
    session = stripe_world.sdk.checkout.sessions.list().data[0]
    # The trial is free, so the total of the session is that of the first payment after it.
    assert session.amount_total in (0, effect.discounted_amount)
    payer = Payer.make(stripe_world, acme)
    promotion = stripe_world.sdk.promotion_codes.list({"code": "HALF"}).data[0]
    bought = payer.buy(discounts=[{"promotion_code": promotion.id}])
    assert stripe_world.sdk.invoices.retrieve(bought.latest_invoice).total == effect.discounted_amount


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("unknown", "This promotion code does not exist."),
        ("inactive", "This promotion code has expired or has been used up."),
        ("expired", "This promotion code has expired or has been used up."),
        ("used up", "This promotion code has expired or has been used up."),
        ("minimum", "This promotion code cannot be used for this purchase."),
        ("other customer", "This promotion code cannot be used for this purchase."),
        ("other currency", "This promotion code cannot be used for this purchase."),
        ("other product", "This promotion code cannot be used for this purchase."),
        ("too long", "at most 100 characters"),
    ],
)
def test_a_code_that_cannot_be_used_stays_at_its_field(code, owner, sign_in, stripe_world, stranger, case, message):
    text = "NOPE" if case != "too long" else "X" * 101
    if case == "inactive":
        stripe_world.sdk.promotion_codes.update(code(text, percent_off=10).id, {"active": False})
    elif case == "expired":
        created = code(text, percent_off=10, code={"expires_at": int((now() + timedelta(hours=1)).timestamp())})
        owner.organization.clock_offset = timedelta(hours=2)
        owner.organization.save()
        assert created.active
    elif case == "used up":
        code(text, percent_off=10, max_redemptions=1)
        other = Payer.make(stripe_world, stranger.organization)
        other.buy(discounts=[{"promotion_code": stripe_world.sdk.promotion_codes.list({"code": text}).data[0].id}])
    elif case == "minimum":
        code(text, percent_off=10, code={"restrictions": {"minimum_amount": 5000, "minimum_amount_currency": "usd"}})
    elif case == "other customer":
        customer = customers.ensure_customer(stranger.organization, None).stripe_customer_id
        code(text, percent_off=10, code={"customer": customer})
    elif case == "other currency":
        code(text, amount_off=100, currency="eur")
    elif case == "other product":
        code(text, percent_off=10, applies_to={"products": [stripe_world.sdk.products.create({"name": "Mug"}).id]})
    page = sign_in(owner).get(reverse("choose-plan"), PRO | {"promotion_code": text})
    assert page.status_code == 200
    for expected in (message, f'value="{text}"', 'aria-invalid="true"', '<details class="more" open>'):
        assert expected in page.text, expected
    assert 'name="promotion_code" value=' not in page.text.split('action="/account/billing/checkout/"')[1]


def test_a_code_for_first_purchases_is_not_for_former_customers(code, owner, sign_in, stripe_world, acme):
    payer = Payer.make(stripe_world, acme)
    payer.buy()
    BillingManager(acme).cancel(at_once=True)
    payer.world.deliver()
    code("FIRST", percent_off=10, code={"restrictions": {"first_time_transaction": True}})
    page = sign_in(owner).get(reverse("choose-plan"), PRO | {"promotion_code": "FIRST"}).text
    assert "This promotion code cannot be used for this purchase." in page


def test_only_owners_look_codes_up(code, people, sign_in, monkeypatch):
    code("SAVE", percent_off=20)
    for who in ("admin", "member", "viewer"):
        page = sign_in(people[who]).get(reverse("choose-plan"), PRO | {"promotion_code": "SAVE"}).text
        assert "Only owners of Acme can choose a plan" in page and "$7.20" not in page


def test_the_email_address_is_confirmed_first(owner, sign_in, stripe_world):
    EmailAddress.objects.filter(user=owner.user).update(verified=False)
    page = sign_in(owner).get(reverse("choose-plan"), PRO).text
    assert "Confirm your email address before you subscribe." in page and reverse("checkout") not in page


def test_an_outage_is_a_message(code, owner, sign_in, stripe_world):
    stripe_world.control("down", on=True)
    try:
        page = sign_in(owner).get(reverse("choose-plan"), PRO | {"promotion_code": "SAVE"})
    finally:
        stripe_world.control("down", on=False)
    assert page.status_code == 200 and "The payment provider is not responding" in page.text
