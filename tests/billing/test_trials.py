"""One trial per person and per card, for whichever organization it is requested."""

import pytest
from allauth.account.models import EmailAddress
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse

from accounts.manager import AuthManager
from billing import trials
from billing.models import BillingNotification, CheckoutAttempt, TrialRecord
from billing.notifications import content
from contextmcp.settings.environment import subset
from tests.billing.test_checkout_payment import PATH, PRO, pay
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.billing import plan_of, price_of
from tests.support.api import problem

pytestmark = pytest.mark.django_db
ANOTHER_CARD = "5555 5555 5555 4444"


@pytest.fixture(autouse=True)
def everything_counts(settings):
    settings.BILLING_TRIAL_ONCE_PER = frozenset(["user", "email", "card"])


def person(email, *, user=None):
    organization = OrganizationFactory(owner=user or UserFactory(email=email))
    return Person(organization.memberships.select_related("organization", "user").get())


def buy(world, api, who, card="4242 4242 4242 4242"):
    session = api.post(PATH, PRO, by=who).json()
    assert pay(session["url"], card).status_code == 303
    world.deliver()
    return session


def offered(api, who):
    return api.get("/api/billing/subscription", by=who).json()["trialAvailable"]


def promised(who):
    return CheckoutAttempt.objects.filter(organization=who.organization).latest("created_at").includes_trial


def test_a_second_organization_of_the_same_person_has_none(stripe_world, api, owner, sign_in_as):
    assert offered(api, owner)
    buy(stripe_world, api, owner)
    second = person("", user=owner.user)
    assert not offered(api, second)
    assert b"Start 14-day trial" not in sign_in_as(second).get(reverse("pricing")).content
    buy(stripe_world, api, second, ANOTHER_CARD)
    assert not promised(second)
    assert second.organization.subscriptions.get().status == "active"


def test_a_new_account_with_the_same_address_has_no_trial(stripe_world, api, owner):
    EmailAddress.objects.create(user=owner.user, email="ada.lovelace+old@gmail.com", verified=True)
    buy(stripe_world, api, owner)
    other = person("someone@elsewhere.example")
    assert offered(api, other)
    EmailAddress.objects.create(user=other.user, email="adalovelace@googlemail.com", verified=False)
    assert offered(api, other)
    EmailAddress.objects.create(user=other.user, email="adalovelace+new@gmail.com", verified=False)
    assert not offered(api, other)


def test_an_unverified_address_is_not_recorded(stripe_world, api, owner):
    EmailAddress.objects.create(user=owner.user, email="victim@example.com", verified=False)
    buy(stripe_world, api, owner)
    victim = person("victim@example.com")
    assert offered(api, victim)


def test_a_card_with_a_used_trial_is_detected_after_checkout(stripe_world, api, owner, stranger):
    buy(stripe_world, api, owner)
    assert offered(api, stranger)
    session = buy(stripe_world, api, stranger)
    organization = stranger.organization
    subscription = stripe_world.sdk.subscriptions.retrieve(organization.subscriptions.get().stripe_subscription_id)
    assert subscription.status == "canceled"
    assert plan_of(organization) == "free"
    assert not organization.grants.filter(source="subscription").exists()
    assert not [charge for charge in stripe_world.sdk.charges.list().data if charge.amount]
    assert not offered(api, stranger)
    notice = BillingNotification.objects.get(organization=organization, kind="trial_withheld")
    assert "nothing was charged" in content.render(notice).paragraphs[1]
    assert not BillingNotification.objects.filter(organization=organization, kind__in=["ended", "trial_ending"]).exists()
    assert CheckoutAttempt.objects.get(session_id=session["sessionId"]).state == "withheld"
    # They can subscribe without a trial, with the same card.
    buy(stripe_world, api, stranger)
    assert plan_of(organization) == "pro"
    assert plan_of(owner.organization) == "pro"


def test_return_from_checkout_shows_a_withheld_trial(stripe_world, api, owner, stranger, sign_in_as):
    buy(stripe_world, api, owner)
    session = api.post(PATH, PRO, by=stranger).json()
    pay(session["url"])
    page = sign_in_as(stranger).get(reverse("checkout-return"), {"session_id": session["sessionId"]}, follow=True)
    assert b"already had a trial" in page.content
    assert b"Your plan is active" not in page.content
    again = sign_in_as(stranger).get(reverse("checkout-return"), {"session_id": session["sessionId"]}, follow=True)
    assert b"already had a trial" in again.content
    stripe_world.deliver()
    assert stranger.organization.subscriptions.get().status == "canceled"


def test_repeated_events_withhold_a_trial_once(stripe_world, api, owner, stranger):
    buy(stripe_world, api, owner)
    buy(stripe_world, api, stranger)
    stripe_world.deliver(stripe_world.events())
    assert stranger.organization.billing_actions.filter(kind="withhold_trial").count() == 1
    assert owner.organization.subscriptions.get().status == "trialing"
    assert BillingNotification.objects.filter(kind="trial_withheld").count() == 1


def test_trials_given_by_staff_are_not_checked(stripe_world, payer, api, owner):
    other = person("other@elsewhere.example")
    buy(stripe_world, api, other)
    payer.buy(trial_period_days=30)
    assert payer.state.status == "trialing"
    assert payer.plan == "pro"
    assert TrialRecord.objects.filter(organization=payer.organization, kind="card").exists()


def test_former_subscriber_without_a_trial_gets_none(stripe_world, payer, api, owner, sign_in_as):
    subscription = payer.buy()
    stripe_world.sdk.subscriptions.cancel(subscription.id)
    stripe_world.deliver()
    assert payer.account.trial_used_at is None
    assert not offered(api, owner)
    assert b"Start a trial" not in sign_in_as(owner).get(reverse("billing")).content
    assert api.post(PATH, PRO, by=owner).status_code == 200
    assert not promised(owner)


def test_a_checkout_with_a_used_trial_is_expired(stripe_world, api, owner):
    second = person("", user=owner.user)
    first_page = api.post(PATH, PRO, by=second).json()
    assert promised(second)
    buy(stripe_world, api, owner)
    next_page = api.post(PATH, PRO, by=second).json()
    assert next_page["sessionId"] != first_page["sessionId"]
    assert not promised(second)
    assert stripe_world.sdk.checkout.sessions.retrieve(first_page["sessionId"]).status == "expired"


def test_an_invited_member_keeps_their_own_trial(stripe_world, api, owner, member):
    buy(stripe_world, api, owner)
    own = person("", user=member.user)
    assert offered(api, own)


def test_the_setting_selects_the_identities(stripe_world, api, owner, stranger, settings):
    settings.BILLING_TRIAL_ONCE_PER = frozenset()
    buy(stripe_world, api, owner)
    second = person("", user=owner.user)
    assert offered(api, second)
    buy(stripe_world, api, stranger)
    assert stranger.organization.subscriptions.get().status == "trialing"
    settings.BILLING_TRIAL_ONCE_PER = frozenset(["user"])
    assert not offered(api, second)


def test_the_setting_is_checked_at_start(monkeypatch):
    monkeypatch.setenv("BILLING_TRIAL_ONCE_PER", "user, card")
    assert subset("BILLING_TRIAL_ONCE_PER", "", ["user", "card"]) == {"user", "card"}
    monkeypatch.setenv("BILLING_TRIAL_ONCE_PER", "none")
    assert subset("BILLING_TRIAL_ONCE_PER", "user", ["user", "card"]) == frozenset()
    monkeypatch.setenv("BILLING_TRIAL_ONCE_PER", "phone")
    with pytest.raises(ImproperlyConfigured, match="BILLING_TRIAL_ONCE_PER"):
        subset("BILLING_TRIAL_ONCE_PER", "user", ["user", "card"])


def test_neither_address_nor_fingerprint_is_stored_in_clear(stripe_world, api, owner):
    buy(stripe_world, api, owner)
    rows = list(TrialRecord.objects.values_list("kind", "value"))
    assert {kind for kind, _ in rows} == {"user", "email", "card"}
    assert all(len(value) == 64 and owner.user.email not in value for _, value in rows)


def test_closing_an_organization_does_not_give_another_free_plan(stripe_world, api, owner):
    buy(stripe_world, api, owner)
    AuthManager(owner.organization).close(owner.user)
    stripe_world.deliver()
    assert not trials.is_available(person("", user=owner.user).organization)


def test_a_trial_without_our_checkout_is_not_withheld(stripe_world, payer):
    """A trial without our Checkout, such as from a payment link."""
    payer.buy("pro", trial_period_days=14, metadata={"checkout_attempt": "not ours"})
    assert payer.state.stripe_price_id == price_of()
    assert payer.state.status == "trialing"


def test_a_foreign_session_reveals_nothing(stripe_world, api, owner, stranger, sign_in_as):
    session = buy(stripe_world, api, owner)
    answer = sign_in_as(stranger).get(reverse("checkout-return"), {"session_id": session["sessionId"]})
    assert answer.status_code == 404
    assert problem(api.post(PATH, {"planTier": "none"}, by=stranger))[0] == 422
