"""The hosted Checkout page, driven by its form."""

import pytest
import requests
import stripe
from simulator_fixtures import CARD, StripeApi, pay, post

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


def since(stripe_api: StripeApi, mark: int) -> list[str]:
    return stripe_api.event_types()[mark:]


def test_the_page_shows_the_order(stripe_api: StripeApi) -> None:
    page = requests.get(stripe_api.checkout(stripe_api.price(900).id, subscription_data={"trial_period_days": 14}).url, timeout=5)
    assert page.status_code == 200
    for text in ("Pro", "$9.00 / month", "Free trial until", "$0.00", 'name="cardNumber"', "http://stripe_api.test/plans"):
        assert text in page.text


def test_paying_activates_the_subscription_and_emits_events_in_order(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer(None)
    session = stripe_api.checkout(stripe_api.price(900).id, customer=customer.id, client_reference_id="org-1", metadata={"attempt": "1"})
    mark = len(stripe_api.event_types())
    answer = pay(session.url)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"http://stripe_api.test/done?session={session.id}")
    assert since(stripe_api, mark) == PAID
    done = stripe_api.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]}).to_dict()
    assert (done["status"], done["payment_status"], done["amount_total"]) == ("complete", "paid", 900)
    assert done["subscription"]["status"] == "active"
    assert done["subscription"]["default_payment_method"].startswith("pm_")
    assert done["invoice"]["amount_paid"] == 900
    created = stripe_api.v1.events.list({"type": "customer.subscription.created"}).data[0]
    assert created.data.object["status"] == "active"


def test_a_trial_charges_nothing_and_emits_events_in_order(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer(None)
    trial = {"trial_period_days": 14, "metadata": {"organization": "1"}}
    session = stripe_api.checkout(stripe_api.price(900).id, customer=customer.id, subscription_data=trial)
    mark = len(stripe_api.event_types())
    pay(session.url)
    assert since(stripe_api, mark) == TRIAL
    done = stripe_api.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]}).to_dict()
    assert (done["payment_status"], done["subscription"]["status"]) == ("no_payment_required", "trialing")
    assert done["subscription"]["metadata"] == {"organization": "1"}


def test_without_a_customer_the_session_creates_one(stripe_api: StripeApi) -> None:
    session = stripe_api.checkout(stripe_api.price().id, customer_email="new@example.com")
    pay(session.url, email="new@example.com")
    customer = stripe_api.v1.customers.retrieve(stripe_api.v1.checkout.sessions.retrieve(session.id).customer)
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
def test_a_declined_card_is_reported_and_changes_nothing(stripe_api: StripeApi, number: str, message: str) -> None:
    session = stripe_api.checkout(stripe_api.price().id, customer=stripe_api.customer(None).id)
    mark = len(stripe_api.event_types())
    answer = pay(session.url, number)
    assert answer.status_code == 402
    assert message.replace("'", "&#x27;") in answer.text
    assert since(stripe_api, mark) == []
    assert stripe_api.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert pay(session.url).status_code == 303


def test_a_payment_can_be_authenticated_or_denied(stripe_api: StripeApi) -> None:
    session = stripe_api.checkout(stripe_api.price().id, customer=stripe_api.customer(None).id)
    requested = pay(session.url, "4000002500003155")
    assert (requested.status_code, 'value="authenticate"' in requested.text) == (200, True)
    assert stripe_api.v1.checkout.sessions.retrieve(session.id).status == "open"
    denied = pay(session.url, "4000002500003155", action="deny")
    assert (denied.status_code, "unable to authenticate" in denied.text) == (402, True)
    assert pay(session.url, "4000002500003155", action="authenticate").status_code == 303
    assert stripe_api.v1.checkout.sessions.retrieve(session.id).status == "complete"


def test_a_promotion_code_lowers_the_first_invoice(stripe_api: StripeApi) -> None:
    coupon = stripe_api.v1.coupons.create({"percent_off": 20, "duration": "once"})
    stripe_api.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SAVE20"})
    session = stripe_api.checkout(stripe_api.price(1000).id, customer=stripe_api.customer(None).id, allow_promotion_codes=True)
    assert "This code is invalid." in post(session.url, action="promotion", promotionCode="NOPE").text
    assert "$8.00" in post(session.url, action="promotion", promotionCode="save20").text
    pay(session.url)
    done = stripe_api.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["total_details.breakdown", "line_items.data.discounts"]}
    ).to_dict()
    assert (done["amount_subtotal"], done["amount_total"]) == (1000, 800)
    assert done["total_details"]["breakdown"]["discounts"][0]["amount"] == 200
    assert done["line_items"]["data"][0]["discounts"][0]["amount"] == 200
    assert stripe_api.latest(done["subscription"]).amount_paid == 800
    assert stripe_api.v1.coupons.retrieve(coupon.id).times_redeemed == 1


def test_payment_and_setup_mode_have_pages(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer(None)
    product = stripe_api.v1.products.create({"name": "Setup fee"})
    price = stripe_api.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 5000})
    once = stripe_api.checkout(price.id, mode="payment", customer=customer.id)
    pay(once.url)
    paid = stripe_api.v1.checkout.sessions.retrieve(once.id, {"expand": ["payment_intent"]}).to_dict()
    assert (paid["payment_status"], paid["payment_intent"]["amount_received"]) == ("paid", 5000)
    saved = stripe_api.v1.checkout.sessions.create(
        {"mode": "setup", "customer": customer.id, "currency": "usd", "success_url": "http://stripe_api.test/"}
    )
    pay(saved.url)
    assert stripe_api.v1.checkout.sessions.retrieve(saved.id).setup_intent


def test_an_expired_session_cannot_be_paid(stripe_api: StripeApi) -> None:
    session = stripe_api.checkout(stripe_api.price().id)
    assert stripe_api.v1.checkout.sessions.expire(session.id).status == "expired"
    assert stripe_api.event_types("checkout") == ["checkout.session.expired"]
    assert requests.get(session.url, timeout=5).status_code == 410
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.v1.checkout.sessions.expire(session.id)


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
def test_an_invalid_session_is_refused(stripe_api: StripeApi, wrong: dict[str, object]) -> None:
    price = stripe_api.price().id
    params: dict[str, object] = {
        "mode": "subscription",
        "line_items": [{"price": price, "quantity": 1}],
        "success_url": "http://stripe_api.test/",
        **wrong,
    }
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.v1.checkout.sessions.create({key: value for key, value in params.items() if value is not None})


def test_a_completed_page_redirects_and_charges_once(stripe_api: StripeApi) -> None:
    session = stripe_api.checkout(stripe_api.price().id, customer=stripe_api.customer(None).id)
    pay(session.url)
    assert requests.get(session.url, allow_redirects=False, timeout=5).status_code == 303
    assert pay(session.url).status_code == 303
    assert len(stripe_api.v1.charges.list().data) == 1
    assert CARD["cardNumber"].startswith("4242")
