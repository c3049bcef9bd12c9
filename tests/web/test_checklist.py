"""What to do next on the overview: only what the role may do, until it is done or dismissed."""

import re
from html import unescape

import pytest
from allauth.account.models import EmailAddress
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.manager import AuthManager
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from tests.factories.billing import Payer

pytestmark = pytest.mark.django_db
CONFIRM, KEY, CONNECT, INVITE, PAY = (
    "Confirm your email address",
    "Create an API key",
    "Connect a client",
    "Invite a member",
    "Add a payment method",
)


def steps(client):
    """Return the steps of the overview: (title, done)."""
    checklist = client.get(reverse("account")).context["checklist"]
    return [(step.title, step.is_done) for step in checklist.steps] if checklist else None


def test_a_new_owner_creates_a_key_and_connects_a_client(acme, owner, sign_in):
    client = sign_in(owner)
    assert steps(client) == [(CONFIRM, True), (KEY, False), (CONNECT, False)]
    page = client.get(reverse("account")).text
    assert "YOUR_API_KEY" in page and "Get started" in page
    key, _ = AuthManager(acme).generate_key(owner.caller, "CI")
    assert steps(client) == [(CONFIRM, True), (KEY, True), (CONNECT, False)]
    key.last_used_at = now()
    key.save()
    assert steps(client) is None
    page = client.get(reverse("account")).text
    assert "YOUR_API_KEY" not in page and "Get started" not in page


def test_members_are_invited_where_the_plan_has_seats(acme, owner, sign_in):
    EntitlementsManager(acme).grant("pro", reason="x")
    client = sign_in(owner)
    assert (INVITE, False) in steps(client)
    AuthManager(acme).invite(owner.caller, "kim@x.example", "member")
    assert (INVITE, True) in steps(client)


def test_each_role_is_shown_what_it_may_do(acme, owner, admin, member, viewer, sign_in):
    EntitlementsManager(acme).grant("pro", reason="x")
    assert [title for title, _ in steps(sign_in(admin))] == [CONFIRM, KEY, CONNECT, INVITE]
    assert [title for title, _ in steps(sign_in(member))] == [CONFIRM, KEY, CONNECT]
    assert steps(sign_in(viewer)) is None
    EmailAddress.objects.filter(user=viewer.user).update(verified=False)
    assert steps(sign_in(viewer)) == [(CONFIRM, False)]
    # The key of another member is a step for those who do not see it.
    AuthManager(acme).generate_key(owner.caller, "CI")
    assert (KEY, True) in steps(sign_in(admin))
    assert (KEY, False) in steps(sign_in(member))


def test_every_step_leads_to_a_page_that_opens(acme, owner, sign_in):
    EmailAddress.objects.filter(user=owner.user).update(verified=False)
    EntitlementsManager(acme).grant("pro", reason="x")
    client = sign_in(owner)
    for step in client.get(reverse("account")).context["checklist"].steps:
        assert client.get(step.link, follow=True).status_code == 200, step.title


def test_a_trial_without_a_payment_method_asks_for_one(stripe_world, acme, owner, sign_in):
    payer = Payer.make(stripe_world, acme)
    payer.buy(trial_period_days=14)
    assert (PAY, True) in steps(sign_in(owner))
    payer.no_cards()
    stripe_world.deliver()
    assert (PAY, False) in steps(sign_in(owner))
    assert "Without one, your plan ends with the trial." in sign_in(owner).get(reverse("account")).text


def test_it_is_dismissed_for_one_member_of_one_organization(acme, owner, admin, sign_in):
    client = sign_in(owner)
    page = client.get(reverse("account")).text
    action = re.search(r'action="(/account/checklist/dismiss/)"', page)[1]
    assert client.post(action).url == reverse("account")
    assert steps(client) is None
    assert steps(sign_in(admin)) is not None
    other = AuthManager.create_organization(owner.user, "Other")
    client.post(reverse("switch-organization"), {"organization": str(other.pk)})
    assert steps(client) is not None
    # Opened from the history, it changes nothing.
    assert client.get(action).url == reverse("account")


def test_recent_activity_leads_to_the_timeline(acme, owner, member, sign_in):
    for number in range(6):
        AuthManager(acme).generate_key(owner.caller, f"Key {number}")
    answer = sign_in(owner).get(reverse("account"))
    assert [entry.sentence for entry in answer.context["entries"]] == [
        f"Olga Owner created the API key Key {number}." for number in (5, 4, 3, 2, 1)
    ]
    assert '<a href="/account/activity/">View activity</a>' in answer.text
    # The keys of others are not for this member.
    assert [entry.sentence for entry in sign_in(member).get(reverse("account")).context["entries"]] == [
        "Olga Owner created the organization Acme."
    ]


def test_meters_say_in_words_what_their_color_means(acme, owner, sign_in):
    from usage.tracker import UsageTracker

    tracker = UsageTracker(acme)

    def meter(feature):
        text = sign_in(owner).get(reverse("account")).text
        found = re.search(rf'<div class="meter (\w+)">(?:(?!</div>).)*?id="m-{feature}".*?</div>', text, re.DOTALL)
        return found[1], re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", found[0]))).strip()

    tracker.consume("sessions", 39)
    assert meter("sessions")[0] == "ok"
    tracker.consume("sessions", 1)
    tone, text = meter("sessions")
    assert (tone, "10 left." in text) == ("near", True)
    tracker.consume("sessions", 10)
    tone, text = meter("sessions")
    assert (tone, "Limit reached." in text) == ("full", True)
    # The only seat of a free plan is no reason to warn.
    assert meter("team_members")[0] == "ok"
    tracker.set_gauge("context_cache_mb", 100)
    assert (meter("context_cache_mb")[0], "Limit reached." in meter("context_cache_mb")[1]) == ("near", True)
    tracker.set_gauge("context_cache_mb", 101)
    assert (meter("context_cache_mb")[0], "1 over the limit." in meter("context_cache_mb")[1]) == ("full", True)
    EntitlementsManager(acme).grant("enterprise", reason="x")
    tone, text = meter("sessions")
    assert (tone, "Unlimited." in text, " of " in text) == ("ok", True, False)


def test_the_overview_of_a_new_organization_takes_few_queries(acme, owner, sign_in):
    client = sign_in(owner)
    client.get(reverse("account"))
    with CaptureQueriesContext(connection) as requested:
        client.get(reverse("account"))
    statements = [each["sql"] for each in requested if 'FROM "entitlements_planversion"' not in each["sql"]]
    assert len(statements) <= 12, statements
