"""Edge cases: impossible settings, deleted objects, and concurrent changes."""

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.manager import AuthManager
from billing import customer_locks, customer_mapping
from billing.catalog import publish
from billing.errors import NoSubscription, StripeRejected, StripeUnavailable
from billing.manager import BillingManager
from billing.models import BillingNotification, CheckoutAttempt, PlanPrice
from billing.notifications import content
from billing.stripe.gateway import checkout as checkout_gateway
from billing.stripe.gateway import invoices as invoice_gateway
from billing.stripe.gateway import subscriptions as subscription_gateway
from billing.stripe.gateway.client import call
from billing.subscriptions import forced_cancellation
from billing.sync.customer import sync_customer
from contextmcp.common.locks import Namespace
from tests.factories.accounts import OrganizationFactory
from tests.factories.billing import Payer, price_of
from tests.support.api import problem
from tests.support.stripe import work
from tests.support.workers import held

pytestmark = pytest.mark.django_db


def ids() -> set[str]:
    return {message.id for message in run_checks(tags=["billing"])}


def test_invalid_settings_are_reported_at_start(settings):
    assert ids() == set()
    settings.BILLING_REFUND_POLICY = "shrug"
    settings.STRIPE_SECRET_KEY = "sk_test_short"
    assert ids() == {"billing.E001", "billing.E003", "billing.W002"}
    settings.BILLING_REFUND_POLICY = "keep"
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_x"]
    settings.STRIPE_SECRET_KEY = "sk_test_" + "a" * 24
    assert ids() == set()
    settings.STRIPE_SECRET_KEY = "sk_live_" + "a" * 24
    settings.STRIPE_LIVE_MODE = True
    settings.STRIPE_API_BASE = "http://127.0.0.1:1"
    assert ids() == {"billing.E002", "billing.W001"}


def test_a_closed_organization_is_not_charged(payer, acme, owner):
    payer.buy()
    AuthManager(acme).close(owner.user)
    work()
    assert payer.world.sdk.subscriptions.retrieve(payer.state.stripe_subscription_id).status == "canceled"
    assert payer.state.status == "canceled"


def test_closing_without_a_subscription_calls_no_stripe(acme, owner):
    AuthManager(acme).close(owner.user)
    assert work() == 0
    forced_cancellation.cancel_all(acme)


def test_a_customer_update_uses_current_values(payer, acme, owner):
    manager = AuthManager(acme)
    for name, email in [("Acme Rockets", "bills@acme.example"), ("Acme", "owner@acme.example"), ("Acme Rockets", "bills@acme.example")]:
        manager.update(owner, name=name, email=email)
        assert work() == 1
        customer = payer.world.sdk.customers.retrieve(payer.customer)
        assert (customer.name, customer.email) == (name, email)
    manager.update(owner, name="Acme Rockets", email="bills@acme.example")
    assert work() == 0


def test_renaming_an_organization_without_customer_calls_no_stripe(acme, owner):
    AuthManager(acme).update(owner, name="Acme Rockets", email="bills@acme.example")
    assert work() == 0


def test_a_deleted_customer_is_detected_at_an_update(payer, acme, owner):
    payer.world.sdk.customers.delete(payer.customer)
    AuthManager(acme).update(owner, name="Acme Rockets", email="bills@acme.example")
    work()
    assert payer.account.customer_deleted_at is not None


def test_a_late_policy_cancellation_does_nothing(payer):
    forced_cancellation.cancel_for_policy(payer.customer, "refunded")


def test_a_deleted_customer_is_detected_at_checkout(stripe_world, payer, api, owner):
    stripe_world.sdk.customers.delete(payer.customer)
    answer = api.post("/api/billing/create-checkout-session", {"planTier": "pro"}, by=owner)
    assert answer.status_code == 200
    assert payer.account.stripe_customer_id != payer.customer


def test_a_deleted_customer_has_no_subscription(stripe_world, payer, api, owner):
    payer.buy()
    stripe_world.sdk.customers.delete(payer.customer)
    assert problem(api.post("/api/billing/preview-change", {"planTier": "enterprise"}, by=owner)) == (409, "no_subscription")
    assert payer.plan == "free"


def test_the_portal_of_a_deleted_customer(stripe_world, payer, api, owner):
    stripe_world.sdk.customers.delete(payer.customer)
    assert problem(api.post("/api/billing/create-portal-session", {}, by=owner)) == (409, "no_customer")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/api/billing/change-plan", {"planTier": "enterprise"}),
        ("post", "/api/billing/cancel", {}),
        ("post", "/api/billing/resume", {}),
        ("put", "/api/billing/overage", {"enabled": True, "cap": 100}),
    ],
)
def test_a_deleted_customer_has_nothing_to_change(stripe_world, payer, api, owner, method, path, body):
    payer.buy()
    stripe_world.sdk.customers.delete(payer.customer)
    assert problem(getattr(api, method)(path, body, by=owner)) == (409, "no_subscription")


def test_a_refused_promotion_code_opens_no_alert(stripe_world, api, owner):
    coupon = stripe_world.sdk.coupons.create({"percent_off": 50, "duration": "once"})
    code = stripe_world.sdk.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "GONE"})
    attempt_path = "/api/billing/create-checkout-session"
    assert api.post(attempt_path, {"planTier": "pro", "promotionCode": "GONE"}, by=owner).status_code == 200
    stripe_world.sdk.promotion_codes.update(code.id, {"active": False})
    CheckoutAttempt.objects.update(state="expired")
    response = api.post(attempt_path, {"planTier": "pro", "promotionCode": "GONE"}, by=owner)
    assert problem(response) == (409, "promotion_code_expired")


def test_missing_objects_are_none(stripe_world):
    assert checkout_gateway.retrieve("cs_test_none") is None
    assert subscription_gateway.retrieve("sub_none") is None
    assert invoice_gateway.invoice("in_none") is None
    assert invoice_gateway.charge("ch_none") is None
    assert sync_customer("cus_none").organization_id is None
    with pytest.raises(StripeRejected):
        call("get", "/v1/customers", limit=1000)


def test_a_post_without_an_idempotency_key_is_an_error(stripe_world):
    with pytest.raises(AssertionError, match="idempotency"):
        call("post", "/v1/customers")


def test_metadata_with_an_unknown_organization(db):
    assert customer_mapping.organization_from_metadata({"metadata": {"djstripe_subscriber": "unknown"}}) is None
    assert customer_mapping.organization_from_metadata({}) is None


def test_a_waiting_change_gives_up(acme, monkeypatch):
    used = held("SELECT pg_advisory_lock(hashtextextended(%s, %s))", [str(acme.pk), int(Namespace.BILLING_CHANGE)])
    with used, pytest.raises(customer_locks.ChangeInProgress), customer_locks.serialized(acme.pk, timeout=0.1):
        pass
    with customer_locks.serialized(acme.pk):
        pass
    assert connection.is_usable()


def test_a_changed_published_version_stops_the_command(stripe_world, monkeypatch):
    steps = [publish.PublishStep("plan version", "pro v1", "conflict", "features.projects.value: 10 -> 11")]
    monkeypatch.setattr(publish, "plan_publish", lambda: steps)
    with pytest.raises(CommandError, match="never change"):
        call_command("publish_catalog")


def test_without_a_key_only_plan_versions_are_published(capsys):
    call_command("publish_catalog")
    assert "nothing is published to Stripe" in capsys.readouterr().out
    assert not PlanPrice.objects.exists()


def test_a_renamed_product_is_corrected(stripe_world):
    stripe_world.sdk.products.update("contextmcp_pro", {"name": "Something else"})
    assert "changed" in {step.state for step in publish.plan_publish()}
    publish.publish_catalog()
    assert stripe_world.sdk.products.retrieve("contextmcp_pro").name == "ContextMCP Pro"


def test_a_configured_price_is_not_created(stripe_world, settings):
    settings.STRIPE_PRICE_IDS = {"STRIPE_PRO_MONTHLY_PRICE_ID": price_of()}
    assert any("from the environment" in str(step) for step in publish.publish_catalog())


def test_outdated_emails_are_not_sent(acme):
    for kind in ("receipt", "dunning_started", "trial_ending", "ended"):
        assert content.render(BillingNotification(organization=acme, kind=kind, object_id="gone", transition="x")) is None


def test_closed_organization_gets_no_emails(payer, acme):
    from django.core import mail

    from billing.notifications import deliver as sender
    from contextmcp.common.clock import now

    payer.buy()
    acme.closed_at = now()
    acme.save()
    assert sender.deliver_due() == 0
    assert mail.outbox == []


def test_the_subscription_of_a_free_organization(acme):
    manager = BillingManager(acme)
    assert manager.dunning() is None
    assert manager.over_limits() == ()
    assert manager.is_configured() is False
    with pytest.raises(NoSubscription):
        manager.cancel()


def test_two_payers_do_not_see_each_other(stripe_world, payer):
    other = Payer.make(stripe_world, OrganizationFactory())
    payer.buy()
    assert (payer.plan, other.plan) == ("pro", "free")
    assert not other.organization.invoices.exists()


def test_a_change_whose_response_was_lost_is_resumed(payer, api, owner, monkeypatch):
    from billing.models import BillingAction

    payer.buy()
    update = subscription_gateway.update

    def lost(*args, **options):
        update(*args, **options)
        raise StripeUnavailable

    monkeypatch.setattr(subscription_gateway, "update", lost)
    response = api.post("/api/billing/cancel", {}, by=owner)
    assert response.status_code == 503
    assert BillingAction.objects.get(kind="cancel").state == "pending"
    monkeypatch.setattr(subscription_gateway, "update", update)
    assert api.post("/api/billing/cancel", {}, by=owner).status_code in (200, 409)
