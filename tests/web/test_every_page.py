"""Every page in every state of a subscription as every role: it opens, shows the state, and has no link or button that is refused."""

import contextlib
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.contrib.messages import get_messages
from django.db import transaction
from django.urls import reverse

from accounts.manager import AuthManager
from billing.errors import PaymentConfirmationRequired
from billing.manager import BillingManager
from contextmcp.common.clock import now
from contextmcp.devstack.tour.browser import _Forms
from entitlements.manager import EntitlementsManager
from tests.factories.billing import Payer
from tests.support.stripe import work
from usage.tracker import UsageTracker

ROLES = ["viewer", "member", "admin", "owner"]
START = ["pricing", "account", "keys", "connected-apps", "usage", "activity", "team", "settings", "welcome", "new-organization"]
# They sign out, belong to other packages, or lead to files.
ELSEWHERE = re.compile(r"^/(accounts|api|admin|static)/")
# Statuses that no link or button may lead to. A rendered form may lack input, or repeat what another form already did.
REFUSALS = {"permission_denied", "insufficient_scope", "overage_not_sold", "seat_limit_reached", "email_not_confirmed", "payment_required"}


def discounted(payer):
    coupon = payer.world.sdk.coupons.create({"percent_off": 20, "duration": "forever"})
    payer.world.sdk.subscriptions.update(payer.buy().id, {"discounts": [{"coupon": coupon.id}]})
    payer.world.deliver()


def past_due(payer, *more_days):
    payer.buy()
    payer.declines()
    for days in (32, *more_days):
        payer.later(days)


def scheduled(payer):
    payer.buy("enterprise")
    BillingManager(payer.organization).change_plan("pro", "month")


def overage(payer, cap, units):
    payer.buy()
    BillingManager(payer.organization).set_overage(enabled=True, cap=cap)
    UsageTracker(payer.organization).consume("sessions", 1000 + units)


def canceling(payer):
    payer.buy()
    BillingManager(payer.organization).cancel()


def ended(payer):
    payer.buy()
    BillingManager(payer.organization).cancel(at_once=True)
    payer.world.deliver()


def over_limits(payer):
    UsageTracker(payer.organization).set_gauge("projects", 99)


def used_up(payer):
    payer.buy()
    UsageTracker(payer.organization).consume("sessions", 1000)


def free_days(payer):
    """A grant by staff to a paying organization with a scheduled downgrade."""
    scheduled(payer)
    payer.later(1)
    until = int((payer.state.current_period_end + timedelta(days=10)).timestamp())
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"trial_end": until, "proration_behavior": "none"})
    payer.world.deliver()


def awaiting_confirmation(payer):
    """An upgrade that the bank requires to be confirmed."""
    payer.buy()
    payer.later(10)
    payer.world.card(payer.customer, "pm_card_authenticationRequired")
    with contextlib.suppress(PaymentConfirmationRequired):
        BillingManager(payer.organization).change_plan("enterprise", "month")


def gift_above(payer):
    payer.buy()
    EntitlementsManager(payer.organization).grant("enterprise", reason="x", ends_at=now() + timedelta(days=100))


STATES = {
    "free": lambda payer: None,
    "trial": lambda payer: payer.buy(trial_period_days=14),
    "active": lambda payer: payer.buy(),
    "yearly": lambda payer: payer.buy(interval="year"),
    "discount": discounted,
    "past due": past_due,
    "grace over": lambda payer: past_due(payer, 8),
    "scheduled": scheduled,
    "free days": free_days,
    "awaiting confirmation": awaiting_confirmation,
    "canceling": canceling,
    "ended": ended,
    "quota used": used_up,
    "overage": lambda payer: overage(payer, 2550, 200),
    "overage cap reached": lambda payer: overage(payer, 100, 50),
    "over limits": over_limits,
    "complimentary": lambda payer: EntitlementsManager(payer.organization).grant("pro", reason="x"),
    "gift above a subscription": gift_above,
}
# By state and page: what an owner must and must not read there.
SENTENCES = {
    "free": {
        "account": ("You're on Free at no charge, and your sessions reset on", "Pay-as-you-go"),
        "billing": ("Choose a plan", "Cancel"),
    },
    "trial": {
        "account": ("Your Pro trial is free until", "renews"),
        "billing": ("Pay-as-you-go is available after your trial", "Turn on"),
        "close-page": ("Closing ends your Pro trial immediately. Your card is not charged.", "not refunded"),
    },
    "active": {"billing": ("Turn on", "Resume"), "account": ("Pro renews on", "changes")},
    "yearly": {"pricing": ('value="year" id="yearly" checked', "Start 14-day trial")},
    "discount": {"billing": ("Discount", "Server Error"), "account": ("at $7.20 after your discount", "$9.00")},
    "past due": {
        "account": ("Pay the open invoice of $9.00 by", "renews"),
        "billing": ("Pay the open invoice to change Pay-as-you-go", "Turn on"),
        "pricing": ("Pay the open invoice of $9.00 by", "Upgrade<"),
    },
    "grace over": {"account": ("Your Pro subscription is paused until the open invoice of $9.00 is paid.", "stays active until")},
    "scheduled": {
        "account": ("Your plan changes from Enterprise to Pro on", "renews"),
        "pricing": ("Your plan changes from Enterprise to Pro on", "renews"),
        "keys": ("Your plan will change to Pro on", "renews"),
        "billing": ("Keep Enterprise", "renews"),
    },
    "free days": {
        "account": ("Your plan changes from Enterprise to Pro on", "trial"),
        "billing": ("Keep Enterprise", "Trial"),
        "pricing": ("Your plan changes from Enterprise to Pro on", "trial is free"),
    },
    "awaiting confirmation": {
        "account": ("Confirm the payment for your plan change by", "renews"),
        "billing": ("Confirm the payment of $13.", "renews"),
        "pricing": ("Confirm the payment of $13.", "renews"),
    },
    "canceling": {
        "billing": ("Resume your subscription to turn on Pay-as-you-go", "Change plan"),
        "pricing": ("Pro is canceled and stays active until", "Upgrade<"),
    },
    "ended": {"billing": ("Choose a plan", "Pay-as-you-go"), "account": ("Your Pro subscription ended on", "renews")},
    "quota used": {
        "account": ("used all 1,000 sessions. Your quota resets on", "Upgrade<"),
        "usage": ("Turn on Pay-as-you-go", "Upgrade<"),
    },
    "overage": {
        "account": ("$4.00 of your monthly limit of $25.50", "Upgrade<"),
        "usage": ("Pay-as-you-go so far: 200 sessions, $4.00 of your limit of $25.50", "refused"),
        "billing": ("200 sessions", "You have reached your"),
    },
    "overage cap reached": {
        "account": ("You have reached your monthly limit: $1.00 of $1.00", "so far"),
        "billing": ("You have reached your monthly limit. Further sessions are refused", "Turn on"),
    },
    "over limits": {"account": ("You have 99 projects; your plan includes 1.", "renews")},
    "complimentary": {"account": ("Pro is complimentary and has no end date.", "renews"), "billing": ("Pro", "Pay-as-you-go")},
    "gift above a subscription": {
        "account": ("Enterprise is complimentary until", "pause"),
        "billing": ("Pro renews on", "<span>$9.00"),
    },
}


class Visitor:
    """Follows every link and submits every form that the pages show to one person."""

    def __init__(self, client) -> None:
        self.client = client
        self.seen: dict[str, str] = {}
        self.wrong: list[str] = []
        self.forms: dict[str, dict[str, str]] = {}

    def walk(self, *addresses: str) -> None:
        waiting = [(address, "the start") for address in addresses]
        while waiting:
            address, origin = waiting.pop()
            if address in self.seen:
                continue
            answer = self.client.get(address, follow=True)
            self.seen[address] = answer.text
            if answer.status_code != 200 or "note error" in answer.text:
                self.wrong.append(f"{address} from {origin}: {answer.status_code} {errors(answer.text)}")
                continue
            here = answer.request["PATH_INFO"]
            waiting += [(result, here) for result in links(answer.text, here)]
            for form in forms(answer.text):
                if form.method == "post" and not ELSEWHERE.match(form.action):
                    self.forms[form.action or here] = form.fields

    def send_forms(self) -> None:
        for address, fields in self.forms.items():
            if address == reverse("switch-organization"):
                continue
            with transaction.atomic():
                answer = self.client.post(address, fields)
                codes = {message.extra_tags for message in get_messages(answer.wsgi_request)}
                transaction.set_rollback(True)
            if answer.status_code not in (200, 302) or codes & REFUSALS:
                self.wrong.append(f"POST {address}: {answer.status_code} {codes}")


def links(html: str, here: str) -> Iterator[str]:
    for href in re.findall(r'<a [^>]*href="([^"]+)"', html):
        address = urljoin(here, unescape(href)).split("#")[0]
        if not urlsplit(address).netloc and not ELSEWHERE.match(address):
            yield address


def forms(html: str):
    parser = _Forms()
    # Python's parser would need as long for the whole page as the product needs to render it.
    parser.feed("".join(re.findall(r"<form\b.*?</form>", html, re.DOTALL)))
    return parser.forms


def errors(html: str) -> list[str]:
    return re.findall(r'class="note error"[^>]*>([^<]*)<', html) + re.findall(r"<h1>([^<]*)</h1>", html)


@pytest.fixture
def payer(stripe_world, acme) -> Payer:
    return Payer.make(stripe_world, acme)


@pytest.mark.parametrize("state", STATES)
def test_every_page_and_every_link_on_it_opens(payer, people, sign_in, state):
    STATES[state](payer)
    wrong = {}
    for role in ROLES:
        visitor = Visitor(sign_in(people[role]))
        visitor.walk(*map(reverse, START))
        assert (reverse("billing") in visitor.seen) is (role in {"owner", "admin"})
        for page, (output, unsaid) in SENTENCES[state].items() if role == "owner" else ():
            text = unescape(visitor.seen[reverse(page)])
            assert output in text, f"{page} does not say {output!r}"
            # The list of recent activity tells the past, with its former prices.
            present = re.sub(r'<section [^>]*aria-labelledby="recent">.*?</section>', "", text, flags=re.DOTALL)
            assert unsaid not in present, f"{page} says {unsaid!r}"
        visitor.send_forms()
        if visitor.wrong:
            wrong[role] = visitor.wrong
    assert wrong == {}


def test_an_owner_without_a_confirmed_address(acme, people, sign_in):
    EntitlementsManager(acme).grant("pro", reason="x")
    EmailAddress.objects.filter(user=people["owner"].user).update(verified=False)
    visitor = Visitor(sign_in(people["owner"]))
    visitor.walk(*map(reverse, START))
    visitor.send_forms()
    assert visitor.wrong == []
    assert "Confirm your email address to invite members" in visitor.seen[reverse("team")]


@pytest.mark.parametrize("role", ROLES)
def test_a_closed_organization_keeps_its_invoices(payer, people, sign_in, role):
    payer.buy()
    client = sign_in(people[role])
    warned = client.get(reverse("close-page")).text
    assert ("Closing ends your Pro subscription immediately" in warned) is (role == "owner")
    AuthManager(payer.organization).close(people["owner"].caller)
    work()
    visitor = Visitor(client)
    visitor.walk(*map(reverse, START))
    assert visitor.wrong == []
    page = client.get(reverse("closed-organization", args=[payer.organization.pk]))
    if role in {"owner", "admin"}:
        assert "$9.00" in page.text
        assert "Acme</a>" in visitor.seen[reverse("new-organization")]
    else:
        assert page.status_code == 404


def test_other_users_cannot_see_a_closed_organization(acme, people, sign_in):
    AuthManager(acme).close(people["owner"].caller)
    assert sign_in(people["stranger"]).get(reverse("closed-organization", args=[acme.pk])).status_code == 404


@pytest.mark.parametrize("role", ROLES)
def test_creating_a_key_is_only_suggested_to_those_who_can(people, sign_in, role):
    AuthManager(people["owner"].organization).generate_key(people["owner"].caller, "Owner's")
    for page in ("keys", "account"):
        text = sign_in(people[role]).get(reverse(page)).text
        assert ("Create one to connect" in text) is (role == "member"), page
        assert ("Your role cannot create API keys" in text) is (role == "viewer"), page
