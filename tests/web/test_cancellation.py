"""Canceling a subscription: what the page says, the reason, the offers instead, and who may."""

import re

import pytest
from django.urls import reverse

from accounts.models import AuditEvent
from billing.manager import BillingManager
from entitlements.manager import EntitlementsManager
from tests.factories.billing import Payer
from usage.tracker import UsageTracker


@pytest.fixture
def payer(stripe_world, acme) -> Payer:
    return Payer.make(stripe_world, acme)


def test_the_page_says_what_is_lost_and_when(payer, owner, sign_in):
    payer.buy()
    UsageTracker(payer.organization).set_gauge("projects", 4)
    page = re.sub(r"\s+<", "<", sign_in(owner).get(reverse("cancel-plan")).text)
    ends = f"{payer.state.current_period_end:%B %-d, %Y}"
    for text in (
        "<h1>Cancel Pro</h1>",
        f"Your plan stays active until {ends}. Then you move to Free.",
        f"You lose on {ends}",
        '<th scope="row">Sessions</th><td>1,000 per month</td><td>50 per month</td>',
        '<th scope="row">Pay-as-you-go for sessions</th>',
        "Projects: 4 used, 1 included",
        "Keep Pro",
    ):
        assert text in page, text
    assert "Would one of these help?" not in page


def test_the_reason_is_stored_and_reaches_stripe(payer, owner, sign_in, stripe_world):
    bought = payer.buy()
    stated = {"feedback": "too_expensive", "comment": "Twice the price of last year"}
    page = sign_in(owner).post(reverse("cancel-form"), stated, follow=True).text
    assert "Your subscription is canceled. You have access until" in page
    details = stripe_world.sdk.subscriptions.retrieve(bought.id).cancellation_details
    assert (details.feedback, details.comment, details.reason) == (*stated.values(), "cancellation_requested")
    event = AuditEvent.objects.get(action="billing.cancel")
    assert event.after == {"subscription": bought.id, "at_once": False, **stated}
    assert event.actor_user == owner.user
    # Stripe forgets the reason when the subscription is resumed.
    sign_in(owner).post(reverse("resume-plan"))
    assert stripe_world.sdk.subscriptions.retrieve(bought.id).cancellation_details.feedback is None


def test_a_reason_is_optional_and_a_long_one_is_kept(payer, owner, sign_in):
    payer.buy()
    client = sign_in(owner)
    sent = client.post(reverse("cancel-form"), {"feedback": "unused", "comment": "x" * 501})
    assert sent.url == reverse("cancel-plan")
    page = client.get(sent.url).text
    assert re.search(r'value="unused" id="id_feedback_3"[^>]* checked', page)
    assert "x" * 500 in page and payer.state.cancel_at is None
    client.post(reverse("cancel-form"))
    assert payer.state.cancel_at and AuditEvent.objects.get(action="billing.cancel").after.keys() == {"subscription", "at_once"}
    assert client.get(reverse("cancel-plan")).url == reverse("billing")


def test_a_cheaper_plan_is_offered(payer, owner, sign_in):
    payer.buy("enterprise", "year")
    page = sign_in(owner).get(reverse("cancel-plan")).text
    assert "Switch to Pro" in page and "$90.00 per year" in page
    assert f'href="{reverse("preview-change")}?plan=pro&amp;interval=year"' in page


def test_a_trial_ends_without_a_charge(payer, owner, sign_in):
    payer.buy(trial_period_days=14)
    client = sign_in(owner)
    page = client.get(reverse("cancel-plan")).text
    assert "Your trial stays active until" in page and "you are not charged" in page
    client.post(reverse("cancel-form"))
    assert "Your Pro trial ends on" in client.get(reverse("billing")).text


def test_a_gift_of_the_same_plan_is_kept(payer, owner, sign_in):
    payer.buy()
    EntitlementsManager(payer.organization).grant("pro", reason="x")
    page = sign_in(owner).get(reverse("cancel-plan")).text
    assert "You keep Pro free of charge." in page
    # Without a subscription there is nothing to invoice Pay-as-you-go on.
    assert page.count('<th scope="row">') == 1 and "Pay-as-you-go for sessions" in page


@pytest.mark.parametrize("who", ["admin", "member", "viewer"])
def test_only_owners_see_the_page(payer, people, sign_in, who):
    payer.buy()
    assert sign_in(people[who]).get(reverse("cancel-plan")).status_code == 403


def test_without_a_subscription_there_is_nothing_to_cancel(stripe_world, owner, sign_in):
    assert sign_in(owner).get(reverse("cancel-plan")).url == reverse("billing")


def test_a_pause_is_offered_only_if_the_operator_configured_it(payer, owner, sign_in, settings):
    payer.buy()
    client = sign_in(owner)
    assert "Pause payments" not in client.get(reverse("cancel-plan")).text
    settings.BILLING_PAUSE_PAYMENTS = 1
    page = client.get(reverse("cancel-plan")).text
    assert "Skip the next payment" in page
    answer = client.post(reverse("pause-payments-form"), follow=True).text
    assert "Your payments are paused until" in answer and "Resume payments" in answer
    assert BillingManager(payer.organization).subscription().collection_pause.by_customer
    assert "Your payments were resumed" in client.post(reverse("resume-payments-form"), follow=True).text
    assert "Pause payments" not in client.get(reverse("cancel-plan")).text  # once a year
