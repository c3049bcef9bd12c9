"""Syncing one customer with Stripe's current state."""

from datetime import UTC, datetime, timedelta

import pytest
from djstripe import models as mirror

from billing import customers
from billing.manager import BillingManager
from billing.models import BillingAccount, BillingNotification, Invoice, PlanPrice, SubscriptionState, WebhookEvent
from billing.stripe.gateway import client
from billing.stripe.gateway import customers as customers_gateway
from billing.stripe.gateway import invoices as invoices_gateway
from billing.stripe.gateway import subscriptions as subscriptions_gateway
from billing.stripe.mirror import store
from billing.sync.customer import sync_customer
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(stripe_world):
    return stripe_world


@pytest.fixture
def customer(world, acme) -> str:
    """Acme's customer at Stripe, with a card."""
    account = customers.ensure_customer(acme, None)
    world.card(account.stripe_customer_id)
    return account.stripe_customer_id


def price(plan="pro", interval="month") -> str:
    return PlanPrice.objects.get(plan_version__plan=plan, interval=interval, current=True).stripe_price_id


def plan_of(organization) -> str:
    return EntitlementsManager(organization).entitlements().plan


def test_a_subscription_gives_its_plan(world, acme, customer):
    assert plan_of(acme) == "free"
    subscription = world.subscribe(customer, price())
    world.deliver()
    state = SubscriptionState.objects.get()
    assert (state.stripe_subscription_id, state.status, state.plan, state.interval) == (subscription.id, "active", "pro", "month")
    assert (state.unit_amount, state.currency) == (900, "usd")
    assert state.current_period_end > state.current_period_start
    assert plan_of(acme) == "pro"
    invoice = Invoice.objects.get()
    assert (invoice.status, invoice.total, invoice.amount_paid, invoice.stripe_subscription_id) == ("paid", 900, 900, subscription.id)
    assert invoice.lines[0]["amount"] == 900
    assert set(WebhookEvent.objects.values_list("state", flat=True)) <= {"processed", "ignored"}
    assert mirror.Subscription.objects.get().stripe_data["status"] == "active"
    assert BillingManager(acme).subscription().payment_method.last4 == "4242"


def test_any_number_of_events_costs_one_fetch(world, acme, customer, monkeypatch):
    world.subscribe(customer, price())
    fetches = []
    from billing.sync import fetch as stripe_fetch

    fetch = stripe_fetch.fetch_snapshot
    monkeypatch.setattr(stripe_fetch, "fetch_snapshot", lambda *args: fetches.append(args) or fetch(*args))
    events = world.new_events()
    assert len(events) > 5
    world.deliver(events)
    assert len(fetches) == 1
    world.deliver(events)
    assert len(fetches) == 1


def test_the_order_of_events_does_not_matter(world, acme, customer):
    world.subscribe(customer, price())
    for event in reversed(world.new_events()):
        world.deliver([event])
    assert plan_of(acme) == "pro"


@pytest.mark.parametrize("status", ["trialing"])
def test_a_trial_entitles_and_is_recorded(world, acme, customer, status):
    world.subscribe(customer, price(), trial_period_days=14)
    world.deliver()
    state = SubscriptionState.objects.get()
    assert state.status == status
    assert state.anchor == state.trial_end
    assert plan_of(acme) == "pro"
    assert BillingAccount.objects.get().trial_used_at == state.trial_start
    assert not BillingManager(acme).subscription().trial_available
    assert BillingNotification.objects.get(kind="trial_ending").due_at == state.trial_end - timedelta(days=3)


def test_an_incomplete_subscription_entitles_to_nothing(world, acme, customer):
    world.card(customer, "pm_card_chargeCustomerFail")
    world.subscribe(customer, price(), payment_behavior="default_incomplete")
    world.deliver()
    assert SubscriptionState.objects.get().status == "incomplete"
    assert plan_of(acme) == "free"
    assert BillingManager(acme).subscription().status == "incomplete"


def test_cancellation_now_ends_the_plan_at_once(world, acme, customer):
    subscription = world.subscribe(customer, price())
    world.deliver()
    world.sdk.subscriptions.cancel(subscription.id)
    world.deliver()
    state = SubscriptionState.objects.get()
    assert state.status == "canceled" and state.ended_at
    assert plan_of(acme) == "free"
    assert BillingNotification.objects.filter(kind="ended").exists()


def test_cancellation_at_period_end_keeps_the_plan_until_then(world, acme, customer):
    subscription = world.subscribe(customer, price())
    world.sdk.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    world.deliver()
    result = BillingManager(acme).subscription()
    assert result.upcoming_change.kind == "cancellation"
    assert result.can_resume
    assert plan_of(acme) == "pro"
    assert acme.grants.get().ends_at == result.cancel_at


def test_the_test_clock_of_the_customer_is_used(world, acme, customer):
    clock = world.attach_test_clock(customer)
    world.subscribe(customer, price(), trial_period_days=14)
    world.deliver()
    world.advance(clock, days=15)
    world.deliver()
    acme.refresh_from_db()
    assert timedelta(days=14, hours=23) < now(acme) - datetime.now(UTC) < timedelta(days=15, hours=1)
    assert acme.test_clock_id == clock
    state = SubscriptionState.objects.get()
    assert state.status == "active"
    assert Invoice.objects.filter(total=900, status="paid").count() == 1
    assert plan_of(acme) == "pro"
    offset = acme.clock_offset
    sync_customer(customer)
    acme.refresh_from_db()
    assert acme.clock_offset == offset


def test_a_declined_renewal_keeps_access_in_grace(world, acme, customer, settings):
    clock = world.attach_test_clock(customer)
    world.subscribe(customer, price(), trial_period_days=14)
    world.deliver()
    world.card(customer, "pm_card_chargeCustomerFail")
    world.advance(clock, days=14.1)
    world.deliver()
    acme.refresh_from_db()
    state = SubscriptionState.objects.get()
    assert state.status == "past_due"
    assert state.grace_until - state.past_due_since == timedelta(days=settings.BILLING_GRACE_DAYS)
    assert plan_of(acme) == "pro"
    assert acme.grants.get().ends_at == state.grace_until
    assert set(BillingNotification.objects.filter(kind__startswith="dunning").values_list("kind", flat=True)) == {
        "dunning_started",
        "dunning_halfway",
        "dunning_last_day",
        "dunning_over",
    }
    world.card(customer)
    owed = Invoice.objects.get(status="open")
    world.sdk.invoices.pay(owed.stripe_invoice_id)
    world.deliver()
    assert SubscriptionState.objects.get().status == "active"
    assert acme.grants.get(ends_at=None)
    assert plan_of(acme) == "pro"


def test_after_grace_the_plan_is_free_and_lapsed(world, acme, customer, settings):
    settings.BILLING_GRACE_DAYS = 1
    clock = world.attach_test_clock(customer)
    world.subscribe(customer, price(), trial_period_days=3)
    world.deliver()
    world.card(customer, "pm_card_chargeCustomerFail")
    world.advance(clock, days=4.5)
    world.deliver()
    acme.refresh_from_db()
    assert SubscriptionState.objects.get().status == "past_due"
    entitled = EntitlementsManager(acme).entitlements()
    assert (entitled.plan, entitled.lapsed_plan) == ("free", "pro")
    owed = Invoice.objects.get(status="open")
    world.card(customer)
    world.sdk.invoices.pay(owed.stripe_invoice_id)
    world.deliver()
    assert plan_of(acme) == "pro"


def test_a_deleted_customer_is_on_free_and_can_return(world, acme, customer):
    world.subscribe(customer, price())
    world.deliver()
    world.sdk.customers.delete(customer)
    world.deliver()
    account = BillingAccount.objects.get()
    assert account.customer_deleted_at
    assert SubscriptionState.objects.get().status == "canceled"
    assert plan_of(acme) == "free"
    assert Invoice.objects.count() == 1
    again = customers.ensure_customer(acme, None)
    assert again.stripe_customer_id != customer
    assert again.customer_deleted_at is None
    sync_customer(again.stripe_customer_id)
    assert Invoice.objects.count() == 1


def test_a_deleted_customers_plan_ends_by_its_own_clock(world, acme, customer):
    clock = world.attach_test_clock(customer)
    world.subscribe(customer, price())
    world.advance(clock, days=20)
    world.deliver()
    assert plan_of(acme) == "pro"
    world.sdk.customers.delete(customer)
    world.deliver()
    acme.refresh_from_db()
    assert plan_of(acme) == "free"
    assert now(acme) - datetime.now(UTC) > timedelta(days=19)


def test_a_sync_of_the_former_customer_changes_nothing(world, acme, customer, monkeypatch):
    """It read the account before the organization got its new customer, and writes afterwards."""
    world.subscribe(customer, price())
    world.deliver()
    write = store.write_customer

    def meanwhile(*args, **kwargs):
        write(*args, **kwargs)
        BillingAccount.objects.update(stripe_customer_id="cus_new")

    monkeypatch.setattr(store, "write_customer", meanwhile)
    sync_customer(customer)
    assert BillingAccount.objects.get().stripe_customer_id == "cus_new"


def test_a_foreign_customer_is_ignored(world):
    world.card(world.sdk.customers.create({"email": "who@else.example"}).id)
    world.deliver()
    assert not BillingAccount.objects.exists()
    assert set(WebhookEvent.objects.values_list("state", flat=True)) == {"ignored"}


def test_a_second_customer_of_one_organization_changes_nothing(world, acme, customer):
    second = world.sdk.customers.create({"metadata": {"djstripe_subscriber": str(acme.pk)}}).id
    world.card(second)
    world.subscribe(second, price("enterprise"))
    world.deliver()
    assert BillingAccount.objects.get().stripe_customer_id == customer
    assert plan_of(acme) == "free"


def test_a_customer_with_metadata_is_linked(world, acme):
    created = world.sdk.customers.create({"metadata": {"djstripe_subscriber": str(acme.pk)}}).id
    world.card(created)
    world.subscribe(created, price())
    world.deliver()
    assert BillingAccount.objects.get().stripe_customer_id == created
    assert plan_of(acme) == "pro"


def test_a_refund_is_visible_to_staff(world, acme, customer):
    world.subscribe(customer, price())
    world.deliver()
    charge = world.sdk.charges.list({"customer": customer}).data[0]
    world.sdk.refunds.create({"charge": charge.id, "amount": 400})
    world.deliver()
    invoice = Invoice.objects.get()
    assert invoice.amount_refunded == 400
    created = acme.billing_adjustments.get()
    assert (created.kind, created.amount, created.stripe_invoice_id) == ("refund", 400, invoice.stripe_invoice_id)
    assert plan_of(acme) == "pro"


def test_a_dispute_is_visible_to_staff(world, acme, customer):
    world.subscribe(customer, price())
    world.deliver()
    charge = world.sdk.charges.list({"customer": customer}).data[0]
    world.control("disputes", charge=charge.id)
    world.deliver()
    assert acme.billing_adjustments.get().kind == "dispute"


def test_unknown_customer_costs_one_call(world, monkeypatch):
    foreign = world.sdk.customers.create(params={"name": "Another product's"}, options={"idempotency_key": "foreign"})
    world.subscribe(foreign.id, price())
    calls = []
    real = client.call
    for module in (customers_gateway, subscriptions_gateway, invoices_gateway):
        monkeypatch.setattr(module, "call", lambda *args, **more: calls.append(args) or real(*args, **more), raising=False)
        monkeypatch.setattr(module, "pages", lambda *args, **more: calls.append(args) or [], raising=False)
    world.deliver(world.new_events())
    assert [path for _, path in calls if foreign.id in path] == [f"/v1/customers/{foreign.id}"]
    assert set(WebhookEvent.objects.filter(subject=foreign.id).values_list("state", flat=True)) == {"ignored"}
