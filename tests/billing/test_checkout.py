"""Checkout: attempts, sessions, and never a second subscription."""

import threading

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse

from accounts.models import AuditEvent
from billing import customers
from billing.catalog import publish
from billing.errors import AlreadySubscribed, PlanNotSold, StripeUnavailable, UnknownPromotionCode, UnknownSession
from billing.manager import BillingManager
from billing.models import BillingAccount, BillingAction, CheckoutAttempt, PlanPrice
from billing.stripe.gateway import client as gateway
from tests.support.api import problem

PATH = "/api/billing/create-checkout-session"
PRO = {"planTier": "pro", "interval": "month"}


def price(plan="pro", interval="month") -> str:
    return PlanPrice.objects.get(plan_version__plan=plan, interval=interval, current=True).stripe_price_id


def sessions(world):
    return world.sdk.checkout.sessions.list({"limit": 100}).data


@pytest.mark.django_db
class TestOneClick:
    def test_the_checkout_url_is_returned(self, stripe_world, api, owner, acme):
        answer = api.post(PATH, PRO, by=owner)
        assert answer.status_code == 200, answer.content
        body = answer.json()
        session = stripe_world.sdk.checkout.sessions.retrieve(body["sessionId"], {"expand": ["line_items"]})
        assert body == {"sessionId": session.id, "url": session.url}
        assert session.line_items.data[0].price.id == price()
        assert session.success_url.endswith("/account/billing/return/?session_id={CHECKOUT_SESSION_ID}")
        assert session.cancel_url.endswith("/pricing/")
        assert session.allow_promotion_codes
        customer = stripe_world.sdk.customers.retrieve(session.customer)
        assert customer.metadata["djstripe_subscriber"] == str(acme.pk)
        assert customer.email == acme.email
        attempt = CheckoutAttempt.objects.get()
        assert attempt.state == "open"
        assert attempt.request["subscription_data"]["trial_period_days"] == 14
        assert AuditEvent.objects.filter(action="billing.checkout_started", organization=acme).count() == 1

    def test_checkout_requires_a_confirmed_address(self, stripe_world, api, owner):
        """Neither with a key nor on the pages."""
        key, browser = owner.key, Client()
        browser.force_login(owner.user)
        owner.user.emailaddress_set.update(verified=False)
        assert problem(api.post(PATH, PRO, by=key)) == (403, "email_not_confirmed")
        answer = browser.post(reverse("checkout"), {"plan": "pro", "interval": "month"}, follow=True)
        assert "Confirm your email address before you subscribe" in answer.text
        assert not CheckoutAttempt.objects.exists() and sessions(stripe_world) == []
        owner.user.emailaddress_set.update(verified=True)
        assert api.post(PATH, PRO, by=key).status_code == 200

    def test_the_same_choice_gets_the_open_session(self, stripe_world, api, owner):
        assert api.post(PATH, PRO, by=owner).json() == api.post(PATH, PRO, by=owner).json()
        assert len(sessions(stripe_world)) == 1

    def test_another_choice_closes_the_open_session(self, stripe_world, api, owner):
        first = api.post(PATH, PRO, by=owner).json()
        second = api.post(PATH, {"planTier": "enterprise", "interval": "year"}, by=owner).json()
        assert first["sessionId"] != second["sessionId"]
        states = {session.id: session.status for session in sessions(stripe_world)}
        assert states == {first["sessionId"]: "expired", second["sessionId"]: "open"}
        third = api.post(PATH, PRO, by=owner).json()
        assert third["sessionId"] not in states

    def test_an_expired_session_is_replaced(self, stripe_world, api, owner):
        first = api.post(PATH, PRO, by=owner).json()
        stripe_world.sdk.checkout.sessions.expire(first["sessionId"])
        assert api.post(PATH, PRO, by=owner).json()["sessionId"] != first["sessionId"]

    def test_the_customer_is_reused(self, stripe_world, api, owner, acme):
        created = customers.ensure_customer(acme, None).stripe_customer_id
        api.post(PATH, PRO, by=owner)
        assert sessions(stripe_world)[0].customer == created
        assert len(stripe_world.sdk.customers.list().data) == 1

    def test_subscriber_is_referred_to_plan_changes(self, stripe_world, api, owner, acme):
        customer = customers.ensure_customer(acme, None).stripe_customer_id
        stripe_world.card(customer)
        stripe_world.subscribe(customer, price())
        # The local tables do not contain it yet, so it is fetched from Stripe.
        assert problem(api.post(PATH, PRO, by=owner)) == (409, "already_subscribed")
        assert problem(api.post(PATH, PRO, by=owner)) == (409, "already_subscribed")
        assert sessions(stripe_world) == []

    def test_there_is_one_trial(self, stripe_world, api, owner, acme):
        customer = customers.ensure_customer(acme, None).stripe_customer_id
        stripe_world.card(customer)
        subscription = stripe_world.subscribe(customer, price(), trial_period_days=14)
        stripe_world.sdk.subscriptions.cancel(subscription.id)
        stripe_world.deliver()
        assert api.post(PATH, PRO, by=owner).status_code == 200
        assert "trial_period_days" not in CheckoutAttempt.objects.get().request["subscription_data"]

    def test_a_promotion_code_is_applied(self, stripe_world, api, owner):
        coupon = stripe_world.sdk.coupons.create({"percent_off": 50, "duration": "once"})
        stripe_world.sdk.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"})
        assert api.post(PATH, PRO | {"promotionCode": "HALF"}, by=owner).status_code == 200
        assert sessions(stripe_world)[0].amount_total == 0
        assert CheckoutAttempt.objects.get().request["discounts"]
        assert problem(api.post(PATH, PRO | {"promotionCode": "NONE"}, by=owner)) == (409, "promotion_code_unknown")

    def test_a_setting_enables_taxes(self, stripe_world, api, owner, settings):
        settings.STRIPE_AUTOMATIC_TAX = True
        office = {"address": {"country": "US", "line1": "354 Oyster Point Blvd", "postal_code": "94080", "state": "CA"}}
        stripe_world.sdk.tax.settings.update({"head_office": office})
        assert api.post(PATH, PRO, by=owner).status_code == 200
        assert sessions(stripe_world)[0].automatic_tax.enabled

    @pytest.mark.parametrize(
        "body",
        [
            {"planTier": "gold", "interval": "month"},
            {"planTier": "free", "interval": "month"},
            {"planTier": "pro", "interval": "week"},
            {"planTier": 7},
            {"planTier": None},
            {},
            [],
            PRO | {"surprise": True},
            PRO | {"promotionCode": "x" * 101},
        ],
    )
    def test_unavailable_plans_and_intervals_are_refused(self, stripe_world, api, owner, body):
        assert problem(api.post(PATH, body, by=owner)) == (422, "validation_error")

    def test_a_price_from_the_environment_wins(self, stripe_world, api, owner, settings):
        own = stripe_world.sdk.prices.create(
            {"product": "contextmcp_pro", "unit_amount": 900, "currency": "usd", "recurring": {"interval": "month"}}
        )
        settings.STRIPE_PRICE_IDS = {"STRIPE_PRO_MONTHLY_PRICE_ID": own.id}
        assert api.post(PATH, PRO, by=owner).status_code == 200
        assert CheckoutAttempt.objects.get().request["line_items"][0]["price"] == own.id
        assert price() == own.id
        settings.STRIPE_PRICE_IDS = {"STRIPE_PRO_MONTHLY_PRICE_ID": "price_none"}
        assert problem(api.post(PATH, PRO, by=owner)) == (503, "billing_not_configured")

    def test_only_an_owner_can_start_a_checkout(self, stripe_world, api, owner, admin, member, viewer, stranger):
        assert problem(api.post(PATH, PRO)) == (401, "credentials_missing")
        for person in (admin, member, viewer):
            assert problem(api.post(PATH, PRO, by=person))[0] == 403
        mine = api.post(PATH, PRO, by=owner).json()
        theirs = api.post(PATH, PRO, by=stranger).json()
        assert mine["sessionId"] != theirs["sessionId"]

    def test_an_idempotency_key_replays(self, stripe_world, api, owner):
        first = api.post(PATH, PRO, by=owner, idempotency_key="k")
        again = api.post(PATH, PRO, by=owner, idempotency_key="k")
        assert first.json() == again.json()
        assert again["Idempotent-Replayed"] == "true"
        other = api.post(PATH, PRO | {"interval": "year"}, by=owner, idempotency_key="k")
        assert problem(other) == (409, "idempotency_conflict")

    def test_without_a_key_billing_is_not_configured(self, api, owner):
        assert problem(api.post(PATH, PRO, by=owner)) == (503, "billing_not_configured")
        assert not BillingAccount.objects.filter(stripe_customer_id__isnull=False).exists()

    def test_stripe_outage_is_reported_and_a_retry_is_safe(self, stripe_world, api, owner):
        stripe_world.control("down", on=True)
        response = api.post(PATH, PRO, by=owner)
        assert problem(response) == (503, "stripe_unavailable")
        assert response["Retry-After"] == "5"
        assert BillingAction.objects.get().state == "pending"
        stripe_world.control("down", on=False)
        assert api.post(PATH, PRO, by=owner).status_code == 200
        assert len(stripe_world.sdk.customers.list().data) == 1
        assert BillingAction.objects.get().state == "done"

    def test_a_retry_after_a_crash_creates_no_second_session(self, stripe_world, api, owner):
        first = api.post(PATH, PRO, by=owner).json()
        # As if the response had been lost.
        CheckoutAttempt.objects.update(state="preparing", session_id=None, url="", expires_at=None)
        assert api.post(PATH, PRO, by=owner).json() == first
        CheckoutAttempt.objects.update(state="preparing", session_id=None, url="", expires_at=None)
        second = api.post(PATH, PRO | {"interval": "year"}, by=owner).json()
        assert {session.id: session.status for session in sessions(stripe_world)} == {
            first["sessionId"]: "expired",
            second["sessionId"]: "open",
        }

    def test_a_deleted_customer_is_replaced(self, stripe_world, api, owner, acme):
        gone = customers.ensure_customer(acme, None).stripe_customer_id
        stripe_world.sdk.customers.delete(gone)
        stripe_world.deliver()
        assert api.post(PATH, PRO, by=owner).status_code == 200
        assert sessions(stripe_world)[0].customer != gone

    def test_a_foreign_session_is_refused(self, stripe_world, acme, stranger):
        session = BillingManager(stranger.organization).create_checkout("pro", "month")
        with pytest.raises(UnknownSession):
            BillingManager(acme).return_from_checkout(session.session_id)
        assert BillingManager(stranger.organization).return_from_checkout(session.session_id) is False


@pytest.mark.django_db(transaction=True)
def test_25_concurrent_clicks_create_one_session(stripe_configured, owner, acme):
    publish.publish_catalog()
    answers, errors = [], []

    def click():
        try:
            answers.append(BillingManager(acme).create_checkout("pro", "month"))
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len({answer.session_id for answer in answers}) == 1
    assert len(stripe_configured.sdk.customers.list().data) == 1
    assert len(sessions(stripe_configured)) == 1


@pytest.mark.django_db(transaction=True)
def test_clicks_on_different_plans_leave_one_open_session(stripe_configured, owner, acme):
    publish.publish_catalog()
    errors = []

    def click(plan):
        try:
            BillingManager(acme).create_checkout(plan, "month")
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=click, args=[plan]) for plan in ["pro", "enterprise"] * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [session.status for session in sessions(stripe_configured)].count("open") == 1


@pytest.mark.django_db
class TestSubscription:
    PATH = "/api/billing/subscription"

    def test_the_response_without_a_subscription(self, api, owner, admin, member, viewer, stranger):
        data = api.get(self.PATH, by=owner).json()
        assert (data["plan"], data["status"], data["trialAvailable"]) == ("free", "none", True)
        assert api.get(self.PATH, by=admin).status_code == 200
        assert problem(api.get(self.PATH)) == (401, "credentials_missing")
        for person in (member, viewer):
            assert problem(api.get(self.PATH, by=person))[0] == 403

    def test_the_subscription_is_returned_during_an_outage(self, stripe_world, api, owner, acme, stranger):
        customer = customers.ensure_customer(acme, None).stripe_customer_id
        stripe_world.card(customer)
        stripe_world.subscribe(customer, price(), trial_period_days=14)
        stripe_world.deliver()
        stripe_world.control("down", on=True)
        data = api.get(self.PATH, by=owner).json()
        assert (data["plan"], data["status"], data["interval"], data["amount"]) == ("pro", "trialing", "month", 900)
        assert data["formattedAmount"] == "$9.00"
        assert data["trialEnd"] == data["currentPeriodEnd"]
        assert data["paymentMethod"]["brand"] == "visa"
        assert api.get(self.PATH, by=stranger).json()["status"] == "none"


@pytest.mark.django_db
def test_refusals_of_the_manager(stripe_world, acme):
    manager = BillingManager(acme)
    with pytest.raises(PlanNotSold):
        manager.create_checkout("free", "month")
    with pytest.raises(UnknownPromotionCode):
        manager.create_checkout("pro", "month", "NOPE")
    with override_settings(STRIPE_API_BASE="http://127.0.0.1:9"), pytest.raises(StripeUnavailable):
        manager.create_checkout("pro", "month")
    assert gateway.is_configured()
    assert AlreadySubscribed().status == 409
