"""The hosted Checkout page, driven by its form."""

import pytest
import requests
import stripe
from simulator_fixtures import CARD, Shop, pay, post

PAID = [
    "charge.succeeded",
    "payment_method.attached",
    "customer.updated",
    "checkout.session.completed",
    "customer.subscription.created",
    "payment_intent.created",
    "payment_intent.succeeded",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice_payment.paid",
]
TRIAL = [
    "payment_method.attached",
    "setup_intent.succeeded",
    "setup_intent.created",
    "checkout.session.completed",
    "customer.updated",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
    "customer.subscription.created",
]


def since(shop: Shop, mark: int) -> list[str]:
    return shop.event_types()[mark:]


def test_the_page_shows_the_order(shop: Shop) -> None:
    page = requests.get(shop.checkout(shop.price(900).id, subscription_data={"trial_period_days": 14}).url, timeout=5)
    assert page.status_code == 200
    for text in ("Pro", "$9.00 / month", "Free trial until", "$0.00", 'name="cardNumber"', "http://shop.test/plans"):
        assert text in page.text


def test_paying_activates_the_subscription_and_emits_events_in_order(shop: Shop) -> None:
    customer = shop.customer(None)
    session = shop.checkout(shop.price(900).id, customer=customer.id, client_reference_id="org-1", metadata={"attempt": "1"})
    mark = len(shop.event_types())
    answer = pay(session.url)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"http://shop.test/done?session={session.id}")
    assert since(shop, mark) == PAID
    done = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]}).to_dict()
    assert (done["status"], done["payment_status"], done["amount_total"]) == ("complete", "paid", 900)
    assert done["subscription"]["status"] == "active"
    assert done["subscription"]["default_payment_method"].startswith("pm_")
    assert done["invoice"]["amount_paid"] == 900
    created = shop.v1.events.list({"type": "customer.subscription.created"}).data[0]
    assert created.data.object["status"] == "active"


def test_a_trial_charges_nothing_and_emits_events_in_order(shop: Shop) -> None:
    customer = shop.customer(None)
    trial = {"trial_period_days": 14, "metadata": {"organization": "1"}}
    session = shop.checkout(shop.price(900).id, customer=customer.id, subscription_data=trial)
    mark = len(shop.event_types())
    pay(session.url)
    assert since(shop, mark) == TRIAL
    done = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]}).to_dict()
    assert (done["payment_status"], done["subscription"]["status"]) == ("no_payment_required", "trialing")
    assert done["subscription"]["metadata"] == {"organization": "1"}


def test_without_a_customer_the_session_creates_one(shop: Shop) -> None:
    session = shop.checkout(shop.price().id, customer_email="new@example.com")
    pay(session.url, email="new@example.com")
    customer = shop.v1.customers.retrieve(shop.v1.checkout.sessions.retrieve(session.id).customer)
    assert (customer.email, customer.name) == ("new@example.com", "Ann Example")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("4000000000000002", "Your card was declined."),
        ("4000000000009995", "insufficient funds"),
        ("4000000000000069", "expired"),
        ("4000000000000127", "security code is incorrect"),
        ("4000000000000341", "Your card was declined."),
        ("1234", "card number is incorrect"),
    ],
)
def test_a_declined_card_is_reported_and_changes_nothing(shop: Shop, number: str, message: str) -> None:
    session = shop.checkout(shop.price().id, customer=shop.customer(None).id)
    mark = len(shop.event_types())
    answer = pay(session.url, number)
    assert answer.status_code == 402
    assert message.replace("'", "&#x27;") in answer.text
    assert since(shop, mark) == []
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert pay(session.url).status_code == 303


def test_a_payment_can_be_authenticated_or_denied(shop: Shop) -> None:
    session = shop.checkout(shop.price().id, customer=shop.customer(None).id)
    asked = pay(session.url, "4000002500003155")
    assert (asked.status_code, 'value="authenticate"' in asked.text) == (200, True)
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"
    denied = pay(session.url, "4000002500003155", action="deny")
    assert (denied.status_code, "unable to authenticate" in denied.text) == (402, True)
    assert pay(session.url, "4000002500003155", action="authenticate").status_code == 303
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "complete"


def test_a_promotion_code_lowers_the_first_invoice(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 20, "duration": "once"})
    shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SAVE20"})
    session = shop.checkout(shop.price(1000).id, customer=shop.customer(None).id, allow_promotion_codes=True)
    assert "This code is invalid." in post(session.url, action="promotion", promotionCode="NOPE").text
    assert "$8.00" in post(session.url, action="promotion", promotionCode="save20").text
    pay(session.url)
    done = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["total_details.breakdown", "line_items.data.discounts"]}).to_dict()
    assert (done["amount_subtotal"], done["amount_total"]) == (1000, 800)
    assert done["total_details"]["breakdown"]["discounts"][0]["amount"] == 200
    assert done["line_items"]["data"][0]["discounts"][0]["amount"] == 200
    assert shop.latest(done["subscription"]).amount_paid == 800
    assert shop.v1.coupons.retrieve(coupon.id).times_redeemed == 1


def test_payment_and_setup_mode_have_pages(shop: Shop) -> None:
    customer = shop.customer(None)
    product = shop.v1.products.create({"name": "Setup fee"})
    price = shop.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 5000})
    once = shop.checkout(price.id, mode="payment", customer=customer.id)
    pay(once.url)
    paid = shop.v1.checkout.sessions.retrieve(once.id, {"expand": ["payment_intent"]}).to_dict()
    assert (paid["payment_status"], paid["payment_intent"]["amount_received"]) == ("paid", 5000)
    saved = shop.v1.checkout.sessions.create(
        {"mode": "setup", "customer": customer.id, "currency": "usd", "success_url": "http://shop.test/"}
    )
    pay(saved.url)
    assert shop.v1.checkout.sessions.retrieve(saved.id).setup_intent


def test_an_expired_session_cannot_be_paid(shop: Shop) -> None:
    session = shop.checkout(shop.price().id)
    assert shop.v1.checkout.sessions.expire(session.id).status == "expired"
    assert shop.event_types("checkout") == ["checkout.session.expired"]
    assert requests.get(session.url, timeout=5).status_code == 410
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.checkout.sessions.expire(session.id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "payment"},
        {"customer_email": "a@b.example", "customer": "x"},
        {"subscription_data": {"trial_period_days": 0}},
        {"expires_at": 1},
        {"success_url": None},
    ],
)
def test_an_invalid_session_is_refused(shop: Shop, wrong: dict[str, object]) -> None:
    price = shop.price().id
    given: dict[str, object] = {
        "mode": "subscription",
        "line_items": [{"price": price, "quantity": 1}],
        "success_url": "http://shop.test/",
        **wrong,
    }
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.checkout.sessions.create({key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]


def test_a_completed_page_redirects_and_charges_once(shop: Shop) -> None:
    session = shop.checkout(shop.price().id, customer=shop.customer(None).id)
    pay(session.url)
    assert requests.get(session.url, allow_redirects=False, timeout=5).status_code == 303
    assert pay(session.url).status_code == 303
    assert len(shop.v1.charges.list().data) == 1
    assert CARD["cardNumber"].startswith("4242")
