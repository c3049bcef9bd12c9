"""The hosted customer portal, within its configuration."""

from typing import Any

import requests
from simulator_fixtures import StripeApi, post


def portal(stripe_api: StripeApi, customer: str, **features: Any) -> str:
    chosen: Any = {}
    if features:
        chosen["configuration"] = stripe_api.v1.billing_portal.configurations.create({"features": features}).id
    return stripe_api.v1.billing_portal.sessions.create(
        {"customer": customer, "return_url": "http://stripe_api.test/account", **chosen}
    ).url


def test_cancel_and_resume(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    url = portal(stripe_api, customer.id)
    page = requests.get(url, timeout=5).text
    assert "http://stripe_api.test/account" in page
    assert "Cancel plan" in page
    assert post(url, action="cancel", feedback="unused").status_code == 303
    going = stripe_api.v1.subscriptions.retrieve(subscription.id)
    assert (going.cancel_at_period_end, going.cancellation_details.feedback) == (True, "unused")
    assert "Cancels on" in requests.get(url, timeout=5).text
    post(url, action="resume")
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).cancel_at_period_end is False


def test_a_new_card_becomes_the_default(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    session = stripe_api.checkout(stripe_api.price().id, customer=customer.id)
    post(session.url, email="a@b.example", cardNumber="4242424242424242", cardExpiry="12/34", cardCvc="123")
    subscription = stripe_api.v1.checkout.sessions.retrieve(session.id).subscription
    url = portal(stripe_api, customer.id)
    assert post(url, action="card", cardNumber="4000000000000002").status_code == 402
    assert post(url, action="card", cardNumber="5555555555554444", cardExpiry="01/40").status_code == 303
    changed = stripe_api.v1.customers.retrieve(customer.id, {"expand": ["invoice_settings.default_payment_method"]})
    assert changed.invoice_settings.default_payment_method.card.last4 == "4444"
    assert (
        stripe_api.v1.subscriptions.retrieve(str(subscription)).default_payment_method == changed.invoice_settings.default_payment_method.id
    )


def test_an_open_invoice_can_be_paid(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    invoice = stripe_api.renew(customer, subscription.id)
    url = portal(stripe_api, customer.id)
    assert post(url, action="pay", invoice=invoice.id).status_code == 402
    stripe_api.card(customer.id, "pm_card_visa")
    assert post(url, action="pay", invoice=invoice.id).status_code == 303
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_only_configured_prices_are_offered(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    cheap, expensive, other = stripe_api.price(1000), stripe_api.price(2000), stripe_api.price(3000)
    subscription = stripe_api.subscribe(customer, cheap.id)
    products = [{"product": str(expensive.product), "prices": [expensive.id]}]
    update = {"enabled": True, "default_allowed_updates": ["price"], "products": products, "proration_behavior": "always_invoice"}
    url = portal(stripe_api, customer.id, subscription_update=update)
    assert post(url, action="switch", price=other.id).status_code == 402
    assert post(url, action="cancel").status_code == 402
    assert post(url, action="switch", price=expensive.id).status_code == 303
    assert stripe_api.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == expensive.id
    assert stripe_api.latest(subscription.id).amount_paid == 1000


def test_a_flow_redirects_to_its_return_url(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    flow: Any = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": subscription.id},
        "after_completion": {"type": "redirect", "redirect": {"return_url": "http://stripe_api.test/sorry"}},
    }
    session = stripe_api.v1.billing_portal.sessions.create({"customer": customer.id, "flow_data": flow})
    assert post(session.url, action="cancel").headers["Location"] == "http://stripe_api.test/sorry"


def test_billing_information_is_on_the_next_invoices(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    url = portal(stripe_api, customer.id)
    assert "Billing information" in requests.get(url, timeout=5).text
    details = {
        "name": "Acme Inc.",
        "line1": "Main Street 1",
        "city": "Springfield",
        "country": "US",
        "taxIdType": "us_ein",
        "taxId": "12-3456789",
    }
    assert post(url, action="details", **details).status_code == 303
    changed = stripe_api.v1.customers.retrieve(customer.id, {"expand": ["tax_ids"]})
    assert (changed.name, changed.address.line1, changed.address.country) == ("Acme Inc.", "Main Street 1", "US")
    (tax_id,) = changed.tax_ids.data
    assert (tax_id.type, tax_id.value, tax_id.country) == ("us_ein", "12-3456789", "US")
    assert [each.id for each in stripe_api.v1.customers.tax_ids.list(customer.id).data] == [tax_id.id]
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    invoice = stripe_api.v1.invoices.retrieve(str(subscription.latest_invoice))
    assert [(each.type, each.value) for each in invoice.customer_tax_ids] == [("us_ein", "12-3456789")]
    stripe_api.v1.customers.tax_ids.delete(customer.id, tax_id.id)
    assert stripe_api.v1.customers.tax_ids.list(customer.id).data == []


def test_billing_information_needs_the_configuration(stripe_api: StripeApi) -> None:
    url = portal(stripe_api, stripe_api.customer().id, invoice_history={"enabled": True})
    assert "Billing information" not in requests.get(url, timeout=5).text
    assert post(url, action="details", name="X").status_code == 402
