"""The page that closes an organization, and what closing does to billing."""

import pytest
from django.urls import reverse

from accounts.manager import AuthManager
from accounts.models import AuditEvent
from billing.errors import StripeUnavailable
from billing.manager import BillingManager
from billing.overage import reporting
from contextmcp.web import closing
from tests.factories.accounts import MembershipFactory
from tests.factories.billing import Payer
from tests.support.stripe import work
from usage.tracker import UsageTracker
from usage.webhooks.manager import WebhookManager

pytestmark = pytest.mark.django_db
PAGE, CONFIRM = "/account/settings/close/", "/account/settings/close/confirm/"


@pytest.fixture
def payer(stripe_world, acme) -> Payer:
    return Payer.make(stripe_world, acme)


def test_only_owners_see_the_page(people, sign_in):
    for role in ("owner", "admin", "member", "viewer"):
        client = sign_in(people[role])
        allowed = role == "owner"
        assert client.get(PAGE).status_code == (200 if allowed else 403), role
        assert (f'href="{PAGE}"' in client.get(reverse("settings")).text) is allowed, role
        if not allowed:
            client.post(CONFIRM, {"name": "Acme"})
            people["owner"].organization.refresh_from_db()
            assert people["owner"].organization.closed_at is None, role


def test_it_says_what_ends(owner, member, admin, sign_in):
    acme = owner.organization
    AuthManager(acme).generate_key(owner.caller, "CI")
    AuthManager(acme).generate_key(member.caller, "Laptop")
    WebhookManager(acme).add(owner.caller, "https://hooks.acme.example/")
    page = sign_in(owner).get(PAGE).text
    for sentence in ("The access of all 3 members", "2 API keys. Anything that uses them", "1 webhook endpoint.", "Records of usage"):
        assert sentence in page
    assert "connected app" not in page and "pending invitation" not in page and "subscription" not in page


def test_what_ends_is_counted_with_one_query(owner, django_assert_num_queries):
    with django_assert_num_queries(1):
        ends = closing.what_ends(owner.organization)
    assert (ends.keys, ends.apps, ends.members, ends.invitations, ends.endpoints) == (0, 0, 1, 0, 0)


def test_a_wrong_name_closes_nothing_and_is_kept(owner, sign_in):
    client = sign_in(owner)
    page = client.post(CONFIRM, {"name": "Acne"}, follow=True).text
    assert "The name does not match. The organization was not closed." in page
    assert 'value="Acne"' in page and 'aria-invalid="true"' in page


def test_the_subscription_ends_before_the_organization(payer, owner, sign_in):
    payer.buy()
    BillingManager(payer.organization).set_overage(enabled=True, cap=2550)
    UsageTracker(payer.organization).consume("sessions", 1200)
    reporting.flush(payer.organization)
    # Stripe's final invoice contains the units that were reported before its time, which stands still in tests.
    payer.later(1)
    client = sign_in(owner)
    page = client.get(PAGE).text
    assert "Closing ends your Pro subscription immediately" in page and "not refunded" in page
    assert "Overage used so far, $4.00, is charged on a final invoice." in page
    for _ in range(2):
        client.post(CONFIRM, {"name": "Acme"})
    actions = AuditEvent.objects.filter(organization=owner.organization, action__in=["billing.cancel", "organization.closed"])
    assert list(actions.order_by("id").values_list("action", "actor_user__email")) == [
        ("billing.cancel", "owner@acme.example"),
        ("organization.closed", "owner@acme.example"),
    ]
    payer.state.refresh_from_db()
    assert payer.state.status == "canceled"
    payer.world.deliver()
    work()
    assert "$4.00" in client.get(reverse("closed-organization", args=[owner.organization.pk])).text


def test_nothing_is_closed_while_stripe_is_away(payer, owner, sign_in, monkeypatch):
    payer.buy()

    def away(*_: object, **__: object) -> None:
        raise StripeUnavailable

    monkeypatch.setattr(BillingManager, "cancel", away)
    page = sign_in(owner).post(CONFIRM, {"name": "Acme"}, follow=True).text
    assert "note error" in page
    owner.organization.refresh_from_db()
    assert owner.organization.closed_at is None


def test_a_name_with_markup_can_be_entered(owner, sign_in):
    AuthManager(owner.organization).update(owner.caller, name="<b>A & B</b>", email="a@b.example")
    client = sign_in(owner)
    assert "<strong>&lt;b&gt;A &amp; B&lt;/b&gt;</strong>" in client.get(PAGE).text
    assert "was closed" in client.post(CONFIRM, {"name": "<b>A & B</b> "}, follow=True).text


def test_members_of_a_closed_organization_are_asked_for_another(owner, member, sign_in):
    second = MembershipFactory(user=member.user, role="viewer").organization
    sign_in(owner).post(CONFIRM, {"name": "Acme"})
    assert f"<h1>{second.name}</h1>" in sign_in(member).get(reverse("account")).text
