"""Selling overage and reporting it to Stripe's meter."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from billing import overage_settings, reconciliation
from billing.errors import StripeRejected
from billing.models import Drift, Invoice, MeterReport
from billing.overage import meter_totals, reporting
from billing.stripe.gateway import metering
from contextmcp.common.clock import now
from tests.factories.billing import price_of
from tests.support.api import problem
from tests.support.databases import without_triggers
from tests.support.stripe import run
from usage.errors import OverageCapReached, QuotaExceeded
from usage.ingest.event_parsing import EventBody
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db
PATH = "/api/billing/overage"
ON = {"enabled": True, "cap": 2000}


@pytest.fixture
def pro(payer, api, owner):
    """Pro with overage up to $20 a month."""
    payer.buy()
    answer = api.put(PATH, ON, by=owner)
    assert answer.status_code == 200, answer.content
    payer.world.deliver()
    return payer


def rewrite(model, **fields):
    """Change columns that triggers protect."""
    with without_triggers(model._meta.db_table):
        model.objects.update(**fields)


def use(organization, sessions: int) -> None:
    UsageTracker(organization).consume("sessions", sessions)


def total(payer) -> int:
    meter = payer.world.sdk.billing.meters.list().data[0]
    start = int(payer.state.anchor.timestamp()) // 60 * 60
    listed = payer.world.sdk.billing.meters.event_summaries.list(
        meter.id, {"customer": payer.customer, "start_time": start, "end_time": start + 32 * 86_400}
    )
    return int(sum(each.aggregated_value for each in listed.data))


def report(payer) -> None:
    run("billing.report_overage", timestamp=0)


def test_enabling_adds_a_metered_item(pro, api, owner):
    assert pro.state.overage_item_id
    result = api.get("/api/billing/subscription", by=owner).json()["overage"]
    assert result == {"feature": "sessions", "enabled": True, "cap": 2000, "maxPerInvoice": 2000, "unitAmount": 2, "currency": "usd"}
    assert api.put(PATH, ON | {"cap": 500}, by=owner).json()["cap"] == 500
    assert len(pro.world.sdk.subscriptions.retrieve(pro.state.stripe_subscription_id)["items"].data) == 2


def test_only_units_beyond_the_quota_are_billed(pro, acme):
    use(acme, 1000)
    report(pro)
    assert not MeterReport.objects.exists()
    use(acme, 130)
    report(pro)
    report(pro)
    created = MeterReport.objects.get()
    assert (created.units, created.state, created.sequence) == (130, "sent", 1)
    use(acme, 20)
    report(pro)
    assert total(pro) == 150
    pro.later(31.2)
    newest = Invoice.objects.order_by("-created_at", "-id").first()
    assert newest.total == 900 + 150 * 2
    assert {line["amount"] for line in newest.lines} == {900, 300}


def test_with_a_yearly_price_overage_is_billed_monthly(payer, api, owner, acme):
    payer.buy("pro", "year")
    assert api.put(PATH, ON, by=owner).status_code == 200
    payer.world.deliver()
    use(acme, 1010)
    report(payer)
    payer.later(31.2)
    newest = Invoice.objects.order_by("-created_at", "-id").first()
    assert newest.total == 20


def test_units_beyond_the_cap_are_not_reported(pro, acme, api, owner):
    api.put(PATH, {"enabled": True, "cap": 10}, by=owner)
    use(acme, 1005)
    report(pro)
    assert total(pro) == 5
    with pytest.raises(OverageCapReached):
        use(acme, 1)


def test_usage_after_the_invoice_is_counted_and_logged_but_not_billed(pro, acme):
    use(acme, 1010)
    report(pro)
    started = pro.state.anchor
    pro.later(31.2)
    late = EventBody("sessions", 4, "late", started + timedelta(days=3))
    assert UsageTracker(acme).record_events([late]) == [("accepted", None, None)]
    with capture_logs() as error:
        report(pro)
    assert [(each["event"], each["units"]) for each in error if each["log_level"] == "warning"] == [("billing.overage_after_invoice", 4)]
    assert total(pro) == 14
    pro.later(31)
    assert [invoice.total for invoice in Invoice.objects.order_by("created_at", "id")][-2:] == [900 + 10 * 2, 900]


def test_during_an_outage_a_report_is_sent_later_and_once(pro, acme):
    use(acme, 1010)
    pro.world.control("down", on=True)
    reporting.enqueue_reports(acme)
    assert reporting.send_reports() == 0
    assert MeterReport.objects.get().state == "pending"
    pro.world.control("down", on=False)
    assert reporting.send_reports() == 1
    # As if the response had been lost.
    rewrite(MeterReport, state="pending")
    assert reporting.send_reports() == 1
    assert total(pro) == 10


def test_a_report_that_is_too_old_is_given_up(pro, acme):
    use(acme, 1010)
    reporting.enqueue_reports(acme)
    rewrite(MeterReport, timestamp=pro.state.anchor - timedelta(days=40))
    assert reporting.send_reports() == 0
    assert MeterReport.objects.get().state == "dead"


def test_a_report_past_the_deduplication_window_is_not_repeated(pro, acme):
    use(acme, 1010)
    reporting.enqueue_reports(acme)
    MeterReport.objects.update(first_sent_at=pro.state.anchor - timedelta(days=2))
    assert reporting.send_reports() == 0
    assert MeterReport.objects.get().state == "sent"
    # The comparison finds out whether it arrived, and corrects the total.
    assert [result[1:] for result in meter_totals.compare_totals(acme, dry_run=True)] == [(10, 0)]
    reconciliation.reconcile(acme)
    assert Drift.objects.get(kind="meter_total").repaired
    reporting.send_reports()
    assert total(pro) == 10
    assert reporting.enqueue_reports(acme) == 0
    assert list(meter_totals.compare_totals(acme, dry_run=False, settled=timedelta())) == []


def test_an_excess_at_stripe_is_corrected(pro, acme):
    use(acme, 1010)
    report(pro)
    MeterReport.objects.update(sent_at=pro.state.anchor - timedelta(days=1))
    UsageTracker(acme)
    pro.world.sdk.billing.meter_events.create(
        {
            "event_name": "contextmcp_sessions_overage",
            "payload": {"stripe_customer_id": pro.customer, "value": "7"},
            "timestamp": int(MeterReport.objects.get().timestamp.timestamp()),
        }
    )
    assert total(pro) == 17
    reconciliation.reconcile(acme)
    reporting.send_reports()
    assert total(pro) == 10
    assert reporting.enqueue_reports(acme) == 0


@pytest.mark.parametrize("observed", [True, False])
def test_a_lower_cap_keeps_reported_units(pro, acme, api, owner, observed):
    use(acme, 1500)
    if observed:
        report(pro)
    assert api.put(PATH, ON | {"cap": 2}, by=owner).status_code == 200
    report(pro)
    assert total(pro) == 500
    with pytest.raises(OverageCapReached):
        use(acme, 1)
    pro.later(31.2)
    assert Invoice.objects.order_by("id").last().total == 900 + 1000


def test_a_correction_is_reported_regardless_of_the_cap(pro, acme, api, owner):
    use(acme, 1500)
    api.put(PATH, ON | {"cap": 2}, by=owner)
    assert UsageTracker(acme).record_events([EventBody(feature="sessions", amount=-100, reason="counted twice")]) == [
        ("accepted", None, -100)
    ]
    report(pro)
    assert total(pro) == 400


def test_units_used_before_disabling_are_billed(pro, acme, api, owner, monkeypatch):
    collect, looks = reporting.enqueue_reports, []

    def busy(organization, **params):
        result = collect(organization, **params)
        if not looks:
            use(acme, 1003)
        looks.append(result)
        return result

    monkeypatch.setattr(reporting, "enqueue_reports", busy)
    api.put(PATH, {"enabled": False}, by=owner)
    report(pro)
    assert total(pro) == 3


def test_overage_cannot_be_enabled_during_a_trial(payer, api, owner):
    payer.buy(trial_period_days=14)
    assert problem(api.put(PATH, ON, by=owner)) == (409, "overage_not_sold")


def test_unreported_units_are_no_difference(pro, acme):
    use(acme, 1100)
    reconciliation.reconcile(acme)
    report(pro)
    assert total(pro) == 100
    assert not Drift.objects.exists()


def test_only_one_of_two_concurrent_comparisons_repairs(pro, acme):
    use(acme, 1010)
    report(pro)
    MeterReport.objects.update(sent_at=now() - timedelta(hours=1))
    row = MeterReport.objects.get()
    params = {"stripe_customer_id": pro.customer, "value": "7"}
    pro.world.sdk.billing.meter_events.create(
        {"event_name": "contextmcp_sessions_overage", "payload": params, "timestamp": int(row.timestamp.timestamp())}
    )
    total_at_stripe, first = metering.total, []

    def total_and_another(*args, **params):
        result = total_at_stripe(*args, **params)
        if not first:
            first.append(result)
            list(meter_totals.compare_totals(acme, dry_run=False))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metering, "total", total_and_another)
        assert list(meter_totals.compare_totals(acme, dry_run=False)) == []
    reporting.send_reports()
    assert total(pro) == 10


def test_late_reports_belong_to_their_usage_month(pro, acme):
    """The two months share a minute at Stripe, unless the subscription started on a full minute."""
    use(acme, 1010)
    pro.later(31)
    report(pro)
    acme.refresh_from_db()
    use(acme, 1020)
    report(pro)
    MeterReport.objects.update(sent_at=now() - timedelta(hours=1))
    assert list(meter_totals.compare_totals(acme, dry_run=True)) == []


def test_disabling_keeps_reported_units(pro, acme, api, owner):
    use(acme, 1003)
    assert api.put(PATH, {"enabled": False}, by=owner).json()["enabled"] is False
    report(pro)
    assert total(pro) == 3


def test_a_plan_without_overage_drops_the_item(pro, acme, api, owner):
    assert api.post("/api/billing/change-plan", {"planTier": "enterprise", "interval": "month"}, by=owner).status_code == 200
    assert pro.state.overage_item_id == ""
    assert problem(api.put(PATH, ON, by=owner)) == (409, "overage_not_sold")


def lines(organization):
    return [(line["description"], line["amount"]) for invoice in organization.invoices.all() for line in invoice.lines]


def test_an_upgrade_keeps_the_item_until_units_are_billed(pro, acme, api, owner):
    use(acme, 1100)
    assert api.post("/api/billing/change-plan", {"planTier": "enterprise", "interval": "month"}, by=owner).status_code == 200
    assert total(pro) == 100
    assert pro.state.overage_item_id
    pro.later(31.2)
    assert 200 in [amount for _, amount in lines(acme)]
    pro.later(31.2)
    acme.refresh_from_db()
    reconciliation.reconcile()
    assert pro.state.overage_item_id == ""
    assert [amount for _, amount in lines(acme)].count(200) == 1


def test_a_past_due_subscription_keeps_the_metered_item(pro, acme):
    pro.state.__class__.objects.filter(pk=pro.state.pk).update(status="past_due")
    acme.grants.update(ends_at=now(acme))
    overage_settings.remove_unused_item(acme)
    assert pro.state.overage_item_id


def test_an_immediate_cancellation_reports_all_units(pro, acme, api, owner):
    use(acme, 1100)
    assert api.post("/api/billing/cancel", {"at": "now"}, by=owner).status_code == 200
    assert total(pro) == 100


def test_new_subscription_has_overage_disabled(pro, acme, api, owner):
    api.post("/api/billing/cancel", {"at": "now"}, by=owner)
    pro.world.deliver()
    pro.world.subscribe(pro.customer, price_of())
    pro.world.deliver()
    acme.refresh_from_db()
    use(acme, 1000)
    with pytest.raises(QuotaExceeded):
        use(acme, 1)
    assert api.get("/api/billing/subscription", by=owner).json()["overage"]["enabled"] is False


@pytest.mark.parametrize(
    "body",
    [{}, {"enabled": True}, {"enabled": True, "cap": 0}, {"enabled": True, "cap": "much"}, {"enabled": "perhaps", "cap": 5}, [1]],
)
def test_invalid_plan_changes(payer, api, owner, body):
    payer.buy()
    assert problem(api.put(PATH, body, by=owner)) == (422, "validation_error")


def test_a_past_due_subscription_sells_no_overage(payer, api, owner):
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.later(14.1)
    assert problem(api.put(PATH, ON, by=owner)) == (409, "overage_not_sold")


def test_without_a_metered_price_enabling_is_refused(payer, api, owner):
    from billing.models import PlanPrice

    payer.buy()
    PlanPrice.objects.filter(interval="overage").delete()
    assert problem(api.put(PATH, ON, by=owner)) == (409, "overage_not_sold")


def test_without_a_key_nothing_is_reported(db):
    run("billing.report_overage", timestamp=0)


def test_a_refused_report_is_retried_and_given_up(pro, acme, monkeypatch):
    use(acme, 1010)
    reporting.enqueue_reports(acme)
    rewrite(MeterReport, stripe_customer_id="cus_none")
    monkeypatch.setattr(reporting, "metering", Refusing(StripeRejected("No such customer", "resource_missing")))
    for _ in range(reporting.MAX_ATTEMPTS):
        assert reporting.send_reports() == 0
    created = MeterReport.objects.get()
    assert (created.state, created.attempts) == ("dead", reporting.MAX_ATTEMPTS)
    assert "No such customer" in created.error
    assert reporting.send_reports() == 0
    # The report is not repeated every few seconds. A day later Stripe may accept it.
    assert reporting.enqueue_reports(acme) == 0
    rewrite(MeterReport, created_at=now() - timedelta(days=1))
    assert reporting.enqueue_reports(acme) == 1


def test_a_report_that_stripe_already_has_counts_as_sent(pro, acme, monkeypatch):
    use(acme, 1010)
    reporting.enqueue_reports(acme)
    monkeypatch.setattr(reporting, "metering", Refusing(StripeRejected("An event already exists with identifier x")))
    assert reporting.send_reports() == 1
    assert MeterReport.objects.get().state == "sent"


class Refusing:
    def __init__(self, error):
        self.error = error

    def report(self, **params):
        raise self.error


def test_without_a_subscription_nothing_is_reported(payer, acme):
    assert reporting.enqueue_reports(acme) == 0
    payer.buy()
    assert reporting.enqueue_reports(acme) == 0
