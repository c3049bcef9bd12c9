"""Each of Stripe's errors has a stable code at every endpoint and on every page, and the operator is alerted."""

import pytest
import stripe
from django.test import Client
from django.urls import reverse

from accounts.models import OperatorAlert
from billing.models import BillingAction, CheckoutAttempt
from billing.stripe.gateway import refusals
from tests.factories.billing import Payer, price_of
from tests.support.api import problem

pytestmark = pytest.mark.django_db
API = "/api/billing"
UNEXPECTED = "An unexpected error."
PREPARATIONS = {
    "": lambda payer, api, owner: None,
    "subscribed": lambda payer, api, owner: payer.buy(),
    "canceling": lambda payer, api, owner: (payer.buy(), api.post(f"{API}/cancel", {}, by=owner)),
    "downgrading": lambda payer, api, owner: (
        payer.buy("enterprise"),
        api.post(f"{API}/change-plan", {"planTier": "pro"}, by=owner),
    ),
    "enterprise": lambda payer, api, owner: payer.buy("enterprise"),
}
# State, endpoint, page with its form, the request that Stripe refuses, and the code for an unknown error.
CALLS = {
    "checkout": (
        "",
        ("POST", "create-checkout-session", {"planTier": "pro"}),
        ("checkout", {"plan": "pro", "interval": "month"}),
        ("POST", "/v1/checkout/sessions"),
        "stripe_rejected",
    ),
    "portal": (
        "subscribed",
        ("POST", "create-portal-session", {}),
        ("portal", {}),
        ("POST", "/v1/billing_portal/sessions"),
        "stripe_rejected",
    ),
    "preview": (
        "subscribed",
        ("POST", "preview-change", {"planTier": "enterprise"}),
        ("preview-change", None),
        ("POST", "/v1/invoices/create_preview"),
        "subscription_change_refused",
    ),
    "upgrade": (
        "subscribed",
        ("POST", "change-plan", {"planTier": "enterprise"}),
        ("change-plan", {"plan": "enterprise", "interval": "month"}),
        ("POST", "/v1/subscriptions/"),
        "subscription_change_refused",
    ),
    "downgrade": (
        "enterprise",
        ("POST", "change-plan", {"planTier": "pro"}),
        ("change-plan", {"plan": "pro", "interval": "month"}),
        ("POST", "/v1/subscription_schedules"),
        "subscription_change_refused",
    ),
    "keep": (
        "downgrading",
        ("DELETE", "subscription/upcoming-change", None),
        ("cancel-scheduled-change", {}),
        ("POST", "/v1/subscription_schedules"),
        "subscription_change_refused",
    ),
    "cancel": (
        "subscribed",
        ("POST", "cancel", {}),
        ("cancel-form", {}),
        ("POST", "/v1/subscriptions/"),
        "subscription_change_refused",
    ),
    "cancel now": (
        "subscribed",
        ("POST", "cancel", {"at": "now"}),
        None,
        ("DELETE", "/v1/subscriptions/"),
        "subscription_change_refused",
    ),
    "resume": (
        "canceling",
        ("POST", "resume", {}),
        ("resume-plan", {}),
        ("POST", "/v1/subscriptions/"),
        "subscription_change_refused",
    ),
    "overage": (
        "subscribed",
        ("PUT", "overage", {"enabled": True, "cap": 500}),
        ("overage-form", {"enabled": "on", "cap": "5"}),
        ("POST", "/v1/subscription_items"),
        "subscription_change_refused",
    ),
}


def request(api, owner, endpoint):
    method, path, body = endpoint
    return api.request(method, f"{API}/{path}", *([] if body is None else [body]), by=owner)


@pytest.fixture
def refused_call(stripe_world, acme, api, owner):
    def prepare(name):
        state, endpoint, page, (method, path), code = CALLS[name]
        payer = Payer.make(stripe_world, acme)
        PREPARATIONS[state](payer, api, owner)
        stripe_world.control("refusals", method=method, prefix=path, message=UNEXPECTED)
        return payer, endpoint, page, code

    return prepare


@pytest.mark.parametrize("name", CALLS)
def test_every_endpoint_returns_a_code_and_alerts_the_operator(refused_call, api, owner, acme, name):
    _payer, endpoint, _page, code = refused_call(name)
    answer = request(api, owner, endpoint)
    assert problem(answer) == (502, code)
    assert UNEXPECTED not in answer.text
    alert = OperatorAlert.objects.get()
    assert (alert.code, alert.message, alert.organization, alert.resolved_at) == (code, UNEXPECTED, acme, None)


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call[2]])
def test_every_page_shows_a_message_and_alerts_the_operator(refused_call, owner, acme, name):
    _payer, _endpoint, (page, form), code = refused_call(name)
    browser = Client()
    browser.force_login(owner.user)
    if form is None:
        answer = browser.get(reverse(page), {"plan": "enterprise", "interval": "month"}, follow=True)
    else:
        answer = browser.post(reverse(page), form, follow=True)
    assert answer.status_code == 200
    assert "The payment provider refused" in answer.text
    assert UNEXPECTED not in answer.text
    assert "has no subscription" not in answer.text
    assert OperatorAlert.objects.get().code == code


REASONS = [
    # Stripe's message, code and parameter; our code, its status, and whether the operator is alerted.
    ("The price specified is inactive. This field only accepts active prices.", None, "items[0][price]", "price_not_available", 503, True),
    ("Price `price_1` is not available to be purchased because its product is not active.", None, None, "price_not_available", 503, True),
    ("No such price: 'price_1'", "resource_missing", "line_items[0][price]", "price_not_available", 503, True),
    (
        "You cannot combine currencies on a single customer. This customer has an active subscription with currency eur.",
        None,
        "currency",
        "currency_mismatch",
        409,
        True,
    ),
    (
        "The price specified only supports `usd`. This doesn't match the expected currency: `eur`.",
        None,
        "line_items[0][price]",
        "currency_mismatch",
        409,
        True,
    ),
    (
        "You must have a valid head office address to enable automatic tax calculation in test mode.",
        None,
        "automatic_tax[enabled]",
        "tax_not_configured",
        503,
        True,
    ),
    ("Stripe Tax has not been activated on your account.", None, None, "tax_not_configured", 503, True),
    ("The customer's location isn't recognized.", "customer_tax_location_invalid", "automatic_tax", "tax_location_required", 409, False),
    ("No such promotion code: 'promo_1'", "resource_missing", "discounts[0][promotion_code]", "promotion_code_unknown", 409, False),
    ("This promotion code has expired.", None, "discounts[0][promotion_code]", "promotion_code_expired", 409, False),
    ("Coupon abc is not valid", "coupon_expired", "coupon", "promotion_code_expired", 409, False),
    (
        "This promotion code cannot be redeemed because the associated customer has prior transactions.",
        None,
        "promotion_code",
        "promotion_code_not_redeemable",
        409,
        False,
    ),
    (
        "This customer has no attached payment source or default payment method. Please consider adding a default payment method.",
        "resource_missing",
        None,
        "payment_required",
        402,
        False,
    ),
    (UNEXPECTED, None, None, "stripe_rejected", 502, True),
]


@pytest.mark.parametrize(("message", "stripe_code", "param", "code", "status", "alerts"), REASONS, ids=[row[0][:50] for row in REASONS])
def test_each_reason_has_a_code(stripe_world, api, owner, message, stripe_code, param, code, status, alerts):
    params = {"message": message, "code": stripe_code, "param": param}
    stripe_world.control("refusals", prefix="/v1/checkout/sessions", **{name: value for name, value in params.items() if value})
    answer = api.post(f"{API}/create-checkout-session", {"planTier": "pro"}, by=owner)
    assert problem(answer) == (status, code)
    assert OperatorAlert.objects.filter(code=code, message=message).exists() is alerts
    if code.startswith("promotion_code"):
        assert answer.json()["errors"][0]["field"] == "promotionCode"
    if code == "payment_required":
        assert answer.json()["reason"] == "no_payment_method"


def test_a_portal_that_was_never_configured(stripe_world, api, owner, payer):
    message = (
        "No configuration provided and your test mode default configuration has not been created. Provide a configuration or create your "
        "default by saving your customer portal settings in test mode at https://dashboard.stripe.com/test/settings/billing/portal."
    )
    stripe_world.control("refusals", prefix="/v1/billing_portal/sessions", message=message)
    assert problem(api.post(f"{API}/create-portal-session", {}, by=owner)) == (503, "portal_not_configured")


def test_an_archived_price(stripe_world, api, owner):
    stripe_world.sdk.prices.update(price_of(), {"active": False})
    assert problem(api.post(f"{API}/create-checkout-session", {"planTier": "pro"}, by=owner)) == (503, "price_not_available")
    assert CheckoutAttempt.objects.get().state == "failed"


def test_an_archived_price_of_an_upgrade(payer, api, owner):
    payer.buy()
    payer.world.sdk.prices.update(price_of("enterprise"), {"active": False})
    assert problem(api.post(f"{API}/preview-change", {"planTier": "enterprise"}, by=owner)) == (503, "price_not_available")
    assert problem(api.post(f"{API}/change-plan", {"planTier": "enterprise"}, by=owner)) == (503, "price_not_available")
    assert BillingAction.objects.get(kind="change_plan").state == "failed"
    assert payer.plan == "pro"


def test_a_customer_who_pays_in_another_currency(payer, api, owner):
    sdk = payer.world.sdk
    product = sdk.products.create({"name": "Support contract"})
    price = sdk.prices.create({"product": product.id, "unit_amount": 500, "currency": "eur", "recurring": {"interval": "month"}})
    payer.world.subscribe(payer.customer, price.id)
    payer.world.deliver()
    assert problem(api.post(f"{API}/create-checkout-session", {"planTier": "pro"}, by=owner)) == (409, "currency_mismatch")


def test_automatic_tax_without_setup(stripe_world, api, owner, settings):
    settings.STRIPE_AUTOMATIC_TAX = True
    assert problem(api.post(f"{API}/create-checkout-session", {"planTier": "pro"}, by=owner)) == (503, "tax_not_configured")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"active": False}, "promotion_code_expired"),
        ({"customer": "another"}, "promotion_code_not_redeemable"),
        ({"restrictions": {"minimum_amount": 100_000, "minimum_amount_currency": "usd"}}, "promotion_code_not_redeemable"),
    ],
)
def test_invalid_promotion_codes_are_refused(stripe_world, api, owner, options, code):
    sdk = stripe_world.sdk
    coupon = sdk.coupons.create({"percent_off": 50, "duration": "once"})
    if "customer" in options:
        options = {"customer": sdk.customers.create({"email": "a@b.example"}).id}
    sdk.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF", **options})
    body = {"planTier": "pro", "promotionCode": "HALF"}
    assert problem(api.post(f"{API}/create-checkout-session", body, by=owner)) == (409, code)
    assert not OperatorAlert.objects.exists()


def test_a_refusal_for_an_ended_subscription_has_its_code(payer, api, owner, monkeypatch):
    payer.buy()
    payer.world.sdk.subscriptions.cancel(payer.state.stripe_subscription_id)
    for path in ("preview-change", "cancel", "change-plan"):
        body = {} if path == "cancel" else {"planTier": "enterprise"}
        assert problem(api.post(f"{API}/{path}", body, by=owner)) == (409, "no_subscription")
    assert not OperatorAlert.objects.exists()


def test_unknown_refusals_are_stripe_rejected():
    error = stripe.InvalidRequestError("Received unknown parameter: foo", "foo", code="parameter_unknown", http_status=400)
    assert refusals.classify(error, "get", "/v1/customers").code == "stripe_rejected"
    missing = stripe.InvalidRequestError("No such price: 'p'", "price", code="resource_missing", http_status=404)
    assert refusals.classify(missing, "get", "/v1/prices/p").code == "stripe_object_missing"
    assert refusals.classify(missing, "post", "/v1/subscriptions/s").code == "price_not_available"
