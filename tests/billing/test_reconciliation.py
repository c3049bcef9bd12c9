"""Reconciliation finds, records and repairs whatever was missed."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing import reconciliation
from billing.errors import StripeUnavailable
from billing.models import BillingAccount, Drift, Invoice, ReconciliationRun, SubscriptionState, WebhookEvent
from billing.overage import meter_totals
from billing.sync import fetch
from billing.types import SyncResult
from tests.factories.accounts import OrganizationFactory
from tests.factories.billing import Payer, price_of
from tests.support.stripe import post, run, work
from usage.models import OverageSetting

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """The pauses of a run in seconds, which take no time here."""
    created = []
    monkeypatch.setattr(reconciliation, "pause", created.append)
    return created


@pytest.fixture(autouse=True)
def _all_was_heard(request):
    """Publishing the catalog sent events too."""
    if "payer" in request.fixturenames:
        world = request.getfixturevalue("payer").world
        world.deliver(world.events())


def command(*args: str) -> str:
    out = StringIO()
    call_command("reconcile", *args, stdout=out)
    return out.getvalue()


def kinds(row=None) -> set[str]:
    row = row or ReconciliationRun.objects.first()
    return set(reconciliation.drift_counts(row))


def test_a_run_without_differences(payer):
    payer.buy()
    assert "No differences." in command()
    row = ReconciliationRun.objects.get()
    assert row.finished_at and row.customers_compared == 1 and row.missed_events == 0


def test_missed_events_are_fetched(payer):
    payer.world.subscribe(payer.customer, price_of())
    payer.world.new_events()
    assert payer.plan == "free"
    out = command()
    assert payer.plan == "pro"
    assert "subscriptionstate_missing" in out
    assert "event_missed" in out
    assert {"subscriptionstate_missing", "invoice_missing", "grants", "event_missed"} <= kinds()
    assert all(Drift.objects.values_list("repaired", flat=True))
    assert WebhookEvent.objects.filter(source="reconciliation").exists()
    work()
    assert not WebhookEvent.objects.pending().exists()
    assert "No differences." in command()


def test_a_dry_run_reports_and_changes_nothing(payer):
    payer.world.subscribe(payer.customer, price_of())
    payer.world.new_events()
    out = command("--dry-run")
    assert "subscriptionstate_missing" in out
    assert payer.plan == "free"
    assert not SubscriptionState.objects.exists()
    assert not WebhookEvent.objects.filter(source="reconciliation").exists()
    assert not any(Drift.objects.values_list("repaired", flat=True))


def test_edited_rows_are_repaired(payer, acme):
    payer.buy()
    SubscriptionState.objects.update(status="canceled")
    Invoice.objects.update(total=1)
    reconciliation.reconcile(acme)
    assert {"subscriptionstate_status", "invoice_total"} <= kinds()
    drift = Drift.objects.get(kind="subscriptionstate_status")
    assert (drift.expected, drift.actual, drift.repaired) == ("active", "canceled", True)
    assert payer.state.status == "active"


def test_a_pending_event_is_no_drift(payer):
    payer.world.subscribe(payer.customer, price_of())
    for event in payer.world.new_events():
        post(event)
    assert "No differences." in command()
    assert payer.plan == "pro"


def test_duplicates_are_reported_and_not_changed(payer, acme):
    payer.buy()
    second = payer.world.sdk.customers.create({"metadata": {"djstripe_subscriber": str(acme.pk)}}).id
    payer.world.subscribe(payer.customer, price_of("enterprise"))
    payer.world.deliver()
    command()
    assert Drift.objects.get(kind="duplicate_customer").expected == sorted([payer.customer, second])
    duplicate = Drift.objects.get(kind="duplicate_subscription")
    assert len(duplicate.expected) == 2 and not duplicate.repaired
    assert BillingAccount.objects.get().stripe_customer_id == payer.customer
    # Two active ones: the better plan applies, and neither is ended.
    assert payer.plan == "enterprise"


def test_an_unregistered_price_is_reported(payer):
    product = payer.world.sdk.products.create({"name": "Special offer"}).id
    foreign = payer.world.sdk.prices.create({"product": product, "unit_amount": 700, "currency": "usd", "recurring": {"interval": "month"}})
    payer.world.subscribe(payer.customer, foreign.id)
    payer.world.deliver()
    command()
    assert Drift.objects.get(kind="unknown_price").subject == foreign.id
    assert payer.plan == "free"


def test_one_organization_by_slug_or_id(payer, acme, stranger):
    payer.buy()
    assert "1 customers compared" in command("--organization", acme.slug)
    assert "1 customers compared" in command("--organization", str(acme.pk))
    assert "0 customers compared" in command("--organization", stranger.organization.slug)
    with pytest.raises(CommandError, match="no organization"):
        command("--organization", "unknown")


def test_the_next_run_starts_where_the_last_one_began(payer):
    payer.buy()
    first = reconciliation.reconcile()
    reconciliation.reconcile(payer.organization)
    reconciliation.reconcile(dry_run=True)
    second = reconciliation.reconcile()
    assert second.events_since == first.started_at - reconciliation.OVERLAP


def test_an_outage_leaves_an_unfinished_run(payer):
    payer.buy()
    payer.world.control("down", on=True)
    with pytest.raises(CommandError, match="is not responding"):
        command()
    payer.world.control("down", on=False)
    row = ReconciliationRun.objects.get()
    assert row.finished_at is None and "StripeUnavailable" in row.error


def test_a_rate_limited_run_waits(payer, pauses, monkeypatch):
    payer.buy()
    real, refusals = reconciliation.sync_customer, [StripeUnavailable(), StripeUnavailable(), StripeUnavailable()]

    def slowed(*args, **options):
        if refusals:
            raise refusals.pop()
        return real(*args, **options)

    monkeypatch.setattr(reconciliation, "sync_customer", slowed)
    row = reconciliation.reconcile()
    assert row.finished_at and row.customers_compared == 1
    assert pauses == [1, 2, 4]


def test_an_interrupted_run_is_resumed_where_it_ended(stripe_world, monkeypatch):
    others = [OrganizationFactory() for _ in range(3)]
    for number, organization in enumerate(others):
        BillingAccount.objects.create(organization=organization, stripe_customer_id=f"cus_{number}")
    monkeypatch.setattr(reconciliation.customers, "every", list)
    compared, down = [], {"cus_1"}

    def compare(customer_id, **options):
        if customer_id in down:
            raise StripeUnavailable
        compared.append(customer_id)
        return SyncResult(customer_id, None)

    monkeypatch.setattr(reconciliation, "sync_customer", compare)
    with pytest.raises(StripeUnavailable):
        reconciliation.reconcile()
    down.clear()
    reconciliation.reconcile()
    assert compared == ["cus_0", "cus_1", "cus_2", "cus_0"]


class TestOneThatGoesWrong:
    """The failure is recorded, and all others are compared."""

    def breaks(self, monkeypatch, module, name, *bad) -> None:
        """Let the function fail for one of its arguments."""
        real = getattr(module, name)

        def call(first, *args, **options):
            if first in bad:
                raise KeyError("odd")
            return real(first, *args, **options)

        monkeypatch.setattr(module, name, call)

    def named(self) -> str:
        assert ReconciliationRun.objects.get().finished_at
        drift = Drift.objects.get(kind="error")
        assert drift.actual and not drift.repaired
        return drift.subject

    def test_a_failing_customer_is_recorded(self, payer, stranger, monkeypatch):
        other = Payer.make(payer.world, stranger.organization)
        first, second = sorted([payer, other], key=lambda each: each.customer)
        payer.world.subscribe(second.customer, price_of())
        self.breaks(monkeypatch, fetch, "fetch_snapshot", first.customer)
        reconciliation.reconcile()
        assert self.named() == first.customer
        assert second.plan == "pro"

    def test_a_failing_event_is_recorded(self, payer, monkeypatch):
        payer.world.subscribe(payer.customer, price_of())
        since = reconciliation.events.since
        monkeypatch.setattr(reconciliation.events, "since", lambda moment: [{"id": "evt_odd"}, *since(moment)])
        reconciliation.reconcile()
        assert self.named() == "evt_odd"
        assert WebhookEvent.objects.filter(source="reconciliation", type="customer.subscription.created").exists()

    def test_a_failing_meter_is_recorded(self, acme, stranger, stripe_world, monkeypatch):
        for organization in (acme, stranger.organization):
            OverageSetting.objects.create(organization=organization, feature="sessions", enabled=True, cap_minor=100, currency="usd")
        compared = []
        monkeypatch.setattr(meter_totals, "compare_totals", lambda organization, dry_run: compared.append(organization) or ())
        self.breaks(monkeypatch, meter_totals, "compare_totals", acme)
        reconciliation.reconcile()
        assert str(acme.pk) in self.named()
        assert compared == [stranger.organization]


def test_without_a_key_the_nightly_run_is_silent(db):
    run("billing.reconcile", timestamp=0)
    assert not ReconciliationRun.objects.exists()
    with pytest.raises(CommandError, match="not configured"):
        command()


def test_the_nightly_run_and_the_admin_action(payer, acme):
    payer.buy()
    run("billing.reconcile", timestamp=0)
    run("billing.reconcile_organization", organization_id=str(acme.pk))
    assert ReconciliationRun.objects.filter(finished_at__isnull=False).count() == 2
