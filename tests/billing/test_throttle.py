"""The rate limit of operations that call Stripe."""

from datetime import timedelta

import pytest
from django.urls import reverse

from billing import throttle
from billing.models import StripeRequestWindow
from contextmcp.common.clock import now
from tests.factories.accounts import MembershipFactory, OrganizationFactory, Person
from tests.support.api import problem

pytestmark = pytest.mark.django_db
API = "/api/billing"
CALLS = {
    "checkout": ("POST", "create-checkout-session", {"planTier": "pro"}),
    "portal": ("POST", "create-portal-session", {}),
    "preview": ("POST", "preview-change", {"planTier": "enterprise"}),
    "change": ("POST", "change-plan", {"planTier": "enterprise"}),
    "keep": ("DELETE", "subscription/upcoming-change", None),
    "cancel": ("POST", "cancel", {}),
    "resume": ("POST", "resume", {}),
    "overage": ("PUT", "overage", {"enabled": True, "cap": 500}),
}
PAGES = {
    "checkout": {"plan": "pro", "interval": "month"},
    "portal": {},
    "change-plan": {"plan": "enterprise", "interval": "month"},
    "cancel-scheduled-change": {},
    "cancel-form": {},
    "resume-plan": {},
    "overage-form": {"enabled": "on", "cap": "5"},
}


@pytest.fixture(autouse=True)
def current_minute(monkeypatch):
    """Stop the throttle's clock inside a minute, so that no window ends during a test. Return the minute's start."""
    start = now().replace(second=0, microsecond=0)
    monkeypatch.setattr(throttle, "now", lambda: start + timedelta(seconds=20))
    return start


@pytest.fixture
def used_up(settings, acme, current_minute):
    settings.BILLING_REQUESTS_PER_MINUTE = 1
    StripeRequestWindow.objects.create(subject=f"organization:{acme.pk}", starts_at=current_minute, requests=1)


@pytest.mark.parametrize("name", CALLS)
def test_every_endpoint_that_calls_stripe_is_limited(payer, api, owner, used_up, name):
    method, path, body = CALLS[name]
    calls = len(payer.world.events())
    answer = api.request(method, f"{API}/{path}", *([] if body is None else [body]), by=owner)
    assert problem(answer) == (429, "rate_limited")
    assert answer["Retry-After"] == "40"
    assert answer.json()["limit"] == 1
    assert len(payer.world.events()) == calls


@pytest.mark.parametrize("name", PAGES)
def test_every_form_that_calls_stripe_is_limited(payer, owner, sign_in_as, used_up, name):
    browser = sign_in_as(owner)
    assert "Too many billing requests" in browser.post(reverse(name), PAGES[name], follow=True).text


def test_pages_that_call_stripe_are_limited(payer, owner, sign_in_as, api, settings):
    api.post(f"{API}/create-checkout-session", {"planTier": "pro"}, by=owner)
    session = payer.world.sdk.checkout.sessions.list().data[0].id
    browser = sign_in_as(owner)
    settings.BILLING_REQUESTS_PER_MINUTE = 1
    StripeRequestWindow.objects.all().delete()
    first = browser.get(reverse("checkout-return"), {"session_id": session})
    assert first.status_code == 302
    assert browser.get(reverse("checkout-return"), {"session_id": session}).status_code == 429
    preview = browser.get(reverse("preview-change"), {"plan": "enterprise", "interval": "month"}, follow=True)
    assert "Too many billing requests" in preview.text


def test_a_user_is_limited_across_organizations(payer, api, owner, settings):
    settings.BILLING_REQUESTS_PER_MINUTE = 3
    other = Person(MembershipFactory(organization=OrganizationFactory(), user=owner.user, role="owner"))
    answers = [api.post(f"{API}/create-portal-session", {}, by=who).status_code for who in (owner, other, owner, other, owner)]
    assert answers == [200, 409, 200, 429, 429]


def test_another_customer_is_not_limited(payer, api, owner, stranger, used_up):
    assert problem(api.post(f"{API}/create-portal-session", {}, by=owner)) == (429, "rate_limited")
    assert problem(api.post(f"{API}/create-portal-session", {}, by=stranger)) == (409, "no_customer")


def test_a_replayed_response_is_not_counted(payer, api, owner):
    for _ in range(3):
        assert api.post(f"{API}/create-portal-session", {}, by=owner, idempotency_key="k").status_code == 200
    assert StripeRequestWindow.objects.get(subject__startswith="organization").requests == 1


def test_reading_calls_no_stripe(payer, api, owner, sign_in_as):
    payer.buy()
    payer.world.control("down", on=True)
    for path in ("subscription", "invoices"):
        assert api.get(f"{API}/{path}", by=owner).status_code == 200
    for page in ("billing", "pricing", "account", "usage"):
        assert sign_in_as(owner).get(reverse(page)).status_code == 200
    assert problem(api.get(f"{API}/invoices?limit=1000", by=owner)) == (422, "validation_error")
    assert not StripeRequestWindow.objects.exists()


def test_old_windows_are_deleted(db):
    StripeRequestWindow.objects.create(subject="user:1", starts_at=now() - 2 * throttle.RETENTION, requests=1)
    StripeRequestWindow.objects.create(subject="user:1", starts_at=now(), requests=1)
    throttle.purge()
    assert StripeRequestWindow.objects.count() == 1
