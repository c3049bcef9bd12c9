"""The billing pages: Checkout, plan changes, cancellation, overage, banners."""

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import pytest
import stripe
from django.urls import reverse

from billing.manager import BillingManager
from contextmcp.common.clock import now
from contextmcp.devstack.tour.browser import Browser
from entitlements.manager import EntitlementsManager
from entitlements.types import GrantSpec
from tests.factories.accounts import UserFactory
from tests.factories.billing import Payer
from usage.tracker import UsageTracker

PRO = {"plan": "pro", "interval": "month"}


@pytest.fixture
def payer(stripe_world, acme) -> Payer:
    return Payer.make(stripe_world, acme)


@pytest.fixture
def subscriber(payer) -> Payer:
    payer.buy()
    return payer


def pay(url: str) -> None:
    """Submit the hosted page as a customer would, without following the redirect."""
    browser = Browser()
    browser.open(url)
    card = {"cardNumber": "4242 4242 4242 4242", "cardExpiry": "12/40", "cardCvc": "123", "billingName": "Olga Owner"}
    browser.submit(card, follow=False)
    browser.close()


class TestChoosing:
    def test_anonymous_visitor_signs_up_and_returns_to_the_plan_choice(self, db, client):
        chosen = client.get(reverse("choose-plan"), {"plan": "pro", "interval": "year"})
        assert chosen.url == "/accounts/signup/?next=%2Faccount%2Fbilling%2Fchoose%2F%3Fplan%3Dpro%26interval%3Dyear"
        form = client.get(chosen.url).text
        assert "/account/billing/choose/?plan=pro&amp;interval=year" in form

    def test_the_chosen_plan_has_a_checkout_button(self, people, sign_in):
        page = sign_in(people["owner"]).get(reverse("choose-plan"), {"plan": "enterprise", "interval": "year"}).text
        assert "Enterprise for Acme" in page
        assert "$290" in page
        assert "Start 14-day trial" in page
        assert "Only owners of Acme can choose a plan" in sign_in(people["viewer"]).get(reverse("choose-plan"), PRO).text

    @pytest.mark.parametrize(
        "wrong", [{}, {"plan": "free", "interval": "month"}, {"plan": "x", "interval": "month"}, {"plan": "pro", "interval": "day"}]
    )
    def test_unavailable_plans_redirect_to_the_plans(self, owner, sign_in, wrong):
        assert sign_in(owner).get(reverse("choose-plan"), wrong).url == reverse("pricing")

    def test_users_without_an_organization_create_one_first(self, db, sign_in):
        assert sign_in(UserFactory()).get(reverse("choose-plan"), PRO).url == reverse("new-organization")


class TestCheckout:
    def test_checkout_redirects_to_stripe_and_back(self, stripe_world, owner, sign_in):
        client = sign_in(owner)
        sent = client.post(reverse("checkout"), PRO)
        assert sent.url.startswith(stripe_world.url)
        session = stripe_world.sdk.checkout.sessions.list().data[0]
        not_yet = client.get(reverse("checkout-return"), {"session_id": session.id}, follow=True)
        assert "Checkout was not completed" in not_yet.text
        pay(sent.url)
        back = urlsplit(stripe_world.sdk.checkout.sessions.retrieve(session.id).success_url)
        assert back.path == reverse("checkout-return")
        page = client.get(reverse("checkout-return"), {"session_id": session.id}, follow=True).text
        assert "Your Pro trial has started. Your payment method will be charged on" in page
        assert "Your Pro trial is free until" in page

    @pytest.mark.parametrize("who", ["admin", "member", "viewer", "stranger", "anonymous"])
    def test_only_owners_can_check_out(self, people, stripe_world, sign_in, who):
        sent = sign_in(people[who]).post(reverse("checkout"), PRO)
        if who == "stranger":
            assert stripe_world.sdk.checkout.sessions.list().data[0].client_reference_id != str(people["owner"].organization.pk)
        else:
            assert not stripe_world.sdk.checkout.sessions.list().data
            step = f"{reverse('choose-plan')}?plan=pro&interval=month"
            assert sent.url == (f"/accounts/login/?{urlencode({'next': step})}" if who == "anonymous" else step)

    @pytest.mark.parametrize("wrong", [{}, {"plan": "pro", "interval": "x"}])
    def test_an_invalid_plan_redirects_to_the_plans(self, stripe_world, owner, sign_in, wrong):
        client = sign_in(owner)
        assert client.post(reverse("checkout"), wrong).url == reverse("pricing")
        assert "note error" in client.get(reverse("pricing")).text

    def test_a_wrong_promotion_code_stays_on_the_checkout_step(self, stripe_world, owner, sign_in):
        client = sign_in(owner)
        sent = client.post(reverse("checkout"), PRO | {"promotion_code": "NOPE"})
        assert sent.url == f"{reverse('choose-plan')}?plan=pro&interval=month"
        page = client.get(sent.url).text
        assert 'value="NOPE"' in page
        assert 'aria-invalid="true"' in page
        assert "This promotion code does not exist" in page

    def test_a_subscriber_is_redirected_to_plan_changes(self, subscriber, owner, sign_in):
        client = sign_in(owner)
        assert client.post(reverse("checkout"), PRO).url == reverse("billing")
        assert ">Upgrade<" in client.get(reverse("pricing")).text
        assert "You already have a subscription" in client.get(reverse("choose-plan"), {"plan": "enterprise", "interval": "month"}).text

    def test_a_stripe_outage_is_reported(self, owner, sign_in):
        client = sign_in(owner)
        client.post(reverse("checkout"), PRO)
        assert "Billing is not configured" in client.get(reverse("account")).text
        assert "Payments are not configured" in client.get(reverse("billing")).text
        assert client.post(reverse("portal")).url == reverse("billing")

    @pytest.mark.parametrize(("session_id", "status"), [("cs_test_nonsense", 404), ("", 302), ("x" * 300, 302), ("a\x00b", 302)])
    def test_a_foreign_checkout_session_is_refused(self, stripe_world, owner, sign_in, session_id, status):
        assert sign_in(owner).get(reverse("checkout-return"), {"session_id": session_id}).status_code == status


class TestTheSubscription:
    def test_the_billing_page_shows_the_subscription(self, subscriber, owner, sign_in):
        page = sign_in(owner).get(reverse("billing")).text
        for text in ("<span>$9.00 per month</span>", "Pro renews on", "Visa ending in 4242", "Expires", "<td>$9.00</td>", "Paid</span>"):
            assert text in page, text

    def test_the_portal_opens_for_owners(self, subscriber, people, stripe_world, sign_in):
        assert sign_in(people["owner"]).post(reverse("portal")).url.startswith(stripe_world.url)
        for who in ("admin", "member", "viewer"):
            assert sign_in(people[who]).post(reverse("portal")).url == reverse("billing")

    def test_an_upgrade_is_previewed_exactly_and_applied(self, subscriber, owner, sign_in):
        client = sign_in(owner)
        page = client.get(reverse("preview-change"), {"plan": "enterprise", "interval": "month"})
        result = page.context["preview"]
        assert "and change plan</button>" in page.text
        params = {
            "plan": "enterprise",
            "interval": "month",
            "proration_date": result.proration_date.isoformat() if result.proration_date else "",
        }
        assert "Your plan was changed" in client.post(reverse("change-plan"), params, follow=True).text
        assert BillingManager(subscriber.organization).invoices().first().total == result.due_now

    def test_a_downgrade_is_scheduled_and_can_be_canceled(self, payer, owner, sign_in):
        payer.buy("enterprise")
        client = sign_in(owner)
        UsageTracker(payer.organization).set_gauge("projects", 99)
        page = client.get(reverse("preview-change"), PRO).text
        assert "Change plan on" in page
        assert "Projects: 99 used, 10 included" in page
        assert "Your plan will change to Pro on" in client.post(reverse("change-plan"), PRO, follow=True).text
        assert "Keep Enterprise" in client.get(reverse("billing")).text
        assert "The scheduled change was canceled" in client.post(reverse("cancel-scheduled-change"), follow=True).text
        assert "Keep Enterprise" not in client.get(reverse("billing")).text

    def test_a_subscription_can_be_canceled_and_resumed(self, subscriber, owner, sign_in):
        client = sign_in(owner)
        page = client.post(reverse("cancel-form"), follow=True).text
        assert "You have access until" in page
        assert "Your subscription is canceled. You have access until" in client.get(reverse("account")).text
        assert "Your subscription was resumed" in client.post(reverse("resume-plan"), follow=True).text
        assert "canceled" not in client.get(reverse("keys")).text

    def test_impossible_changes_are_explained(self, subscriber, owner, sign_in):
        client = sign_in(owner)
        for name in ("resume-plan", "cancel-scheduled-change"):
            assert "note error" in client.post(reverse(name), follow=True).text
        assert client.get(reverse("preview-change"), PRO).url == reverse("billing")
        assert client.get(reverse("preview-change"), {"plan": "pro"}).url == reverse("billing")
        assert (
            'class="note error"'
            in client.post(reverse("change-plan"), {"plan": "pro", "interval": "month", "proration_date": "x"}, follow=True).text
        )

    @pytest.mark.parametrize(
        "name", ["change-plan", "cancel-scheduled-change", "cancel-form", "resume-plan", "overage-form", "pause-payments-form"]
    )
    def test_other_roles_cannot_change_the_plan(self, subscriber, people, sign_in, name):
        before = BillingManager(subscriber.organization).subscription()
        for who in ("admin", "member", "viewer", "stranger", "anonymous"):
            sign_in(people[who]).post(reverse(name), {"plan": "enterprise", "interval": "month", "enabled": "on", "cap": "5"})
        assert BillingManager(subscriber.organization).subscription() == before
        assert sign_in(people["member"]).get(reverse("preview-change"), PRO).status_code == 403
        assert sign_in(people["admin"]).get(reverse("cancel-plan")).status_code == 403

    def test_overage_can_be_enabled_with_a_cap(self, subscriber, owner, sign_in):
        client = sign_in(owner)
        assert "Turn on<" in client.get(reverse("billing")).text
        assert (
            "Pay-as-you-go is on, up to $12.50 per month"
            in client.post(reverse("overage-form"), {"enabled": "on", "cap": "12.50"}, follow=True).text
        )
        assert BillingManager(subscriber.organization).subscription().overage.cap == 1250
        assert 'value="12.50"' in client.get(reverse("billing")).text
        assert "note error" in client.post(reverse("overage-form"), {"enabled": "on", "cap": "-1"}, follow=True).text
        assert "Pay-as-you-go is off" in client.post(reverse("overage-form"), {}, follow=True).text


class TestBanners:
    def test_a_failed_payment_is_shown_to_all_members(self, subscriber, people, sign_in):
        subscriber.declines()
        subscriber.later(32)
        page = sign_in(people["owner"]).get(reverse("account")).text
        assert "A payment of $9.00 failed. Your plan stays active until" in page
        assert ">Pay now</a>" in page
        assert "Payment due" in sign_in(people["owner"]).get(reverse("billing")).text
        assert ">Pay now</a>" not in sign_in(people["member"]).get(reverse("account")).text

    def test_the_end_of_a_trial_is_shown(self, payer, owner, sign_in):
        payer.buy(trial_period_days=14)
        assert "Your trial ends on" not in sign_in(owner).get(reverse("account")).text
        payer.later(12)
        assert "Your trial ends on" in sign_in(owner).get(reverse("account")).text

    def test_paused_plan_is_shown(self, owner, sign_in):
        started = now() - timedelta(days=40)
        spec = GrantSpec("pro", reference="s", starts_at=started, ends_at=started + timedelta(days=30), lapsed=True)
        EntitlementsManager(owner.organization).replace_grants("subscription", [spec])
        assert "A payment failed, so your Pro plan is paused. Nothing was deleted." in sign_in(owner).get(reverse("account")).text

    def test_usage_over_the_plan_is_shown(self, owner, sign_in):
        UsageTracker(owner.organization).set_gauge("projects", 4)
        page = sign_in(owner).get(reverse("account")).text
        assert "You have 4 projects; your plan includes 1." in page


def test_the_page_supports_coupons_without_a_name(stripe_world, acme, sign_in, owner):
    payer = Payer.make(stripe_world, acme)
    coupon = stripe_world.sdk.coupons.create({"amount_off": 100, "currency": "usd", "duration": "forever"})
    stripe_world.sdk.subscriptions.update(payer.buy().id, {"discounts": [{"coupon": coupon.id}]})
    stripe_world.deliver()
    answer = sign_in(owner).get("/account/billing/")
    assert answer.status_code == 200
    assert b"Applied" in answer.content


def test_a_refused_portal_session_is_reported(stripe_world, acme, api, owner, monkeypatch):
    Payer.make(stripe_world, acme).buy()

    class Refusing:
        def raw_request(self, *args, **options):
            raise stripe.InvalidRequestError("No configuration was provided.", "configuration", http_status=400)

    monkeypatch.setattr("billing.stripe.gateway.client.client", Refusing)
    answer = api.post("/api/billing/create-portal-session", {}, by=owner)
    assert (answer.status_code, answer.json()["code"]) == (503, "portal_not_configured")
    assert "configuration" not in answer.json()["detail"]


def test_a_pending_payment_has_a_link_and_can_be_discarded(subscriber, owner, sign_in):
    subscriber.later(10)
    subscriber.world.card(subscriber.customer, "pm_card_authenticationRequired")
    client = sign_in(owner)
    assert client.post(reverse("change-plan"), {"plan": "enterprise", "interval": "month"}).url == reverse("billing")
    page = client.get(reverse("billing")).text
    assert "Your bank requires you to confirm" in page
    assert subscriber.state.pending_change["url"] in page
    assert "Confirm the payment for your plan change by" in client.get(reverse("account")).text
    assert client.post(reverse("cancel-scheduled-change")).url == reverse("billing")
    assert "Confirm your payment" not in client.get(reverse("billing")).text


def test_the_next_payment_is_cached(subscriber, owner, sign_in, monkeypatch):
    client, expected = sign_in(owner), BillingManager(subscriber.organization).next_payment()
    assert client.get(reverse("billing")).context["next_payment"] == expected

    def refuse(self):
        raise AssertionError("Stripe was asked again.")

    monkeypatch.setattr(BillingManager, "next_payment", refuse)
    page = client.get(reverse("billing"))
    assert page.context["next_payment"] == expected
    assert "Next payment" in page.text
