"""The hosted customer portal, within its configuration."""

from typing import Any

import requests
from simulator_fixtures import Shop, post


def portal(shop: Shop, customer: str, **features: Any) -> str:
    chosen: Any = {}
    if features:
        chosen["configuration"] = shop.v1.billing_portal.configurations.create({"features": features}).id  # type: ignore[typeddict-item]
    return shop.v1.billing_portal.sessions.create({"customer": customer, "return_url": "http://shop.test/account", **chosen}).url


def test_cancel_and_resume(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price().id)
    url = portal(shop, customer.id)
    page = requests.get(url, timeout=5).text
    assert "http://shop.test/account" in page
    assert "Cancel plan" in page
    assert post(url, action="cancel", feedback="unused").status_code == 303
    going = shop.v1.subscriptions.retrieve(subscription.id)
    assert (going.cancel_at_period_end, going.cancellation_details.feedback) == (True, "unused")
    assert "Cancels on" in requests.get(url, timeout=5).text
    post(url, action="resume")
    assert shop.v1.subscriptions.retrieve(subscription.id).cancel_at_period_end is False


def test_a_new_card_becomes_the_default(shop: Shop) -> None:
    customer = shop.customer()
    session = shop.checkout(shop.price().id, customer=customer.id)
    post(session.url, email="a@b.example", cardNumber="4242424242424242", cardExpiry="12/34", cardCvc="123")
    subscription = shop.v1.checkout.sessions.retrieve(session.id).subscription
    url = portal(shop, customer.id)
    assert post(url, action="card", cardNumber="4000000000000002").status_code == 402
    assert post(url, action="card", cardNumber="5555555555554444", cardExpiry="01/40").status_code == 303
    changed = shop.v1.customers.retrieve(customer.id, {"expand": ["invoice_settings.default_payment_method"]})
    assert changed.invoice_settings.default_payment_method.card.last4 == "4444"
    assert shop.v1.subscriptions.retrieve(str(subscription)).default_payment_method == changed.invoice_settings.default_payment_method.id


def test_an_open_invoice_can_be_paid(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price().id)
    shop.card(customer.id, "pm_card_chargeCustomerFail")
    invoice = shop.renew(customer, subscription.id)
    url = portal(shop, customer.id)
    assert post(url, action="pay", invoice=invoice.id).status_code == 402
    shop.card(customer.id, "pm_card_visa")
    assert post(url, action="pay", invoice=invoice.id).status_code == 303
    assert shop.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_only_configured_prices_are_offered(shop: Shop) -> None:
    customer = shop.customer()
    cheap, dear, other = shop.price(1000), shop.price(2000), shop.price(3000)
    subscription = shop.subscribe(customer, cheap.id)
    products = [{"product": str(dear.product), "prices": [dear.id]}]
    update = {"enabled": True, "default_allowed_updates": ["price"], "products": products, "proration_behavior": "always_invoice"}
    url = portal(shop, customer.id, subscription_update=update)
    assert post(url, action="switch", price=other.id).status_code == 402
    assert post(url, action="cancel").status_code == 402
    assert post(url, action="switch", price=dear.id).status_code == 303
    assert shop.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == dear.id
    assert shop.latest(subscription.id).amount_paid == 1000


def test_a_flow_redirects_to_its_return_url(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price().id)
    flow: Any = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": subscription.id},
        "after_completion": {"type": "redirect", "redirect": {"return_url": "http://shop.test/sorry"}},
    }
    session = shop.v1.billing_portal.sessions.create({"customer": customer.id, "flow_data": flow})
    assert post(session.url, action="cancel").headers["Location"] == "http://shop.test/sorry"
