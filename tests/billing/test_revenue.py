"""Recurring revenue: what counts, the log of changes, and the daily figures."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO
from itertools import permutations

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from billing.models import (
    Invoice,
    OrganizationDay,
    RevenueDay,
    RevenueMovement,
    RevenuePlanDay,
    RevenueSnapshot,
    SubscriptionChange,
    SubscriptionState,
    UsageDay,
    WebhookEvent,
)
from billing.revenue import change_log, rebuild, selectors
from billing.revenue.event_order import in_order
from billing.revenue.monthly import monthly, monthly_parts
from billing.revenue.selectors import Period
from billing.revenue.snapshots import first_difference, snapshots_of
from billing.revenue.terms import annual_amount, revenue_at
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import OrganizationFactory
from tests.factories.billing import price_of
from tests.support.api import Api
from tests.support.stripe import run
from usage.tracker import UsageTracker

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MONTHLY = {"amount": 900, "interval": "month", "interval_count": 1}
YEARLY = {"amount": 10_001, "interval": "year", "interval_count": 1}


def discount(**values):
    return {"id": "di_1", "percent_off": None, "amount_off": None, "currency": "usd", "duration": "forever", "end": None, **values}


def change(at=START, **values):
    values = {"status": "active", "currency": "usd", "prices": [MONTHLY], "discounts": [], **values}
    return SubscriptionChange(effective_at=at, stripe_subscription_id="sub_1", **values)


def log(organization, at, subscription="sub_1", **values):
    row = change(at, **values)
    row.organization, row.stripe_subscription_id = organization, subscription
    row.save()


def movements():
    return [(row.day.day, row.kind, row.annual_before, row.annual_after) for row in RevenueMovement.objects.order_by("day", "id")]


@pytest.mark.parametrize(
    ("prices", "discounts", "expected"),
    [
        ([MONTHLY], [], 10_800),
        ([YEARLY], [], 10_001),
        ([{**MONTHLY, "interval_count": 3}], [], 3_600),
        ([{"amount": 100, "interval": "week", "interval_count": 1}], [], 5_200),
        ([MONTHLY, YEARLY], [], 20_801),
        ([MONTHLY], [discount(percent_off=33.3)], 600 * 12),
        ([MONTHLY], [discount(percent_off=50), discount(amount_off=100)], 350 * 12),
        ([MONTHLY], [discount(amount_off=5_000)], 0),
        ([MONTHLY], [discount(percent_off=50, duration="once")], 10_800),
        ([MONTHLY], [discount(amount_off=100, currency="eur")], 10_800),
        ([MONTHLY], [discount(percent_off=50, end=int(START.timestamp()))], 10_800),
        ([MONTHLY], [discount(percent_off=50, end=int(START.timestamp()) + 1)], 5_400),
        ([MONTHLY], [{"id": "di_2", "duration": None}], 10_800),
    ],
)
def test_the_yearly_amount_follows_prices_and_discounts(prices, discounts, expected):
    assert annual_amount(prices, discounts, "usd", START) == expected


@pytest.mark.parametrize(
    ("values", "state", "amount"),
    [
        ({}, "active", 10_800),
        ({"status": "past_due"}, "past_due", 10_800),
        ({"status": "trialing", "on_first_trial": True}, "trial", 0),
        ({"status": "trialing"}, "active", 10_800),  # free days of a paid subscription
        ({"collection_paused": True}, "paused", 0),
        ({"collection_paused": True, "collection_resumes_at": START + DAY}, "paused", 0),
        ({"collection_paused": True, "collection_resumes_at": START}, "active", 10_800),
        ({"status": "incomplete"}, None, 0),
        ({"status": "unpaid"}, None, 0),
        ({"status": "paused"}, None, 0),
        ({"status": "canceled"}, None, 0),
    ],
)
def test_the_status_decides_what_counts(values, state, amount):
    result = revenue_at(change(**values), START)
    assert (result.state, result.annual_amount) == (state, amount)


def test_a_discount_ends_without_an_event():
    ends = START + 10 * DAY
    rows = snapshots_of([change(discounts=[discount(percent_off=50, end=int(ends.timestamp()))])], {})
    assert [(row.first_day.day, row.last_day and row.last_day.day, row.annual_amount) for row in rows] == [
        (1, 10, 5_400),
        (11, None, 10_800),
    ]


def test_the_state_at_the_end_of_a_day_counts():
    later = [change(START + timedelta(hours=hours), status=status) for hours, status in enumerate(["active", "canceled", "past_due"])]
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    assert [(row.state, row.first_day) for row in snapshots_of(later, {})] == [("past_due", date(2026, 3, 1))]
    assert snapshots_of([change(midnight)], {})[0].first_day == date(2026, 3, 2)
    assert snapshots_of([change(midnight - timedelta(microseconds=1))], {})[0].first_day == date(2026, 3, 1)


def test_the_first_difference_of_two_calculations():
    short = snapshots_of([change(), change(START + 5 * DAY, status="canceled")], {})
    longer = snapshots_of([change(), change(START + 9 * DAY, status="canceled")], {})
    assert first_difference(short, longer) == date(2026, 3, 6)
    assert first_difference(short, snapshots_of([change()], {})) == date(2026, 3, 6)
    assert first_difference([], short) == date(2026, 3, 1)
    assert first_difference(short, short) is None


def event(number, kind, previous=None, **document):
    data = {"object": {"id": "sub_1", **document}, **({"previous_attributes": previous} if previous else {})}
    return {"id": f"evt_{number}", "type": f"customer.subscription.{kind}", "created": 1, "data": data}


@pytest.mark.parametrize("order", permutations(range(4)))
def test_events_of_one_second_are_ordered_by_their_previous_values(order):
    events = [
        event(0, "created", status="incomplete", plan={"amount": 1}),
        event(1, "updated", {"status": "incomplete"}, status="active", plan={"amount": 1}),
        event(2, "updated", {"plan": {"amount": 1}}, status="active", plan={"amount": 2}),
        event(3, "deleted", status="canceled", plan={"amount": 2}),
    ]
    assert [each["id"] for each in in_order(events[place] for place in order)] == ["evt_0", "evt_1", "evt_2", "evt_3"]


@pytest.mark.parametrize("annuals", [[10_001, 10_001, 10_001], [5, 5, 5, 5], [7], [], [100, -37, 0, -50], [0, 0]])
def test_monthly_parts_add_up(annuals):
    parts = monthly_parts(annuals)
    assert sum(parts) == monthly(sum(annuals))
    assert all(abs(part * 12 - annual) < 12 for part, annual in zip(parts, annuals, strict=True))


@pytest.mark.django_db
class TestDays:
    def test_movements_of_an_organization(self, acme):
        log(acme, START)
        log(acme, START + DAY, prices=[{**MONTHLY, "amount": 2_900}])
        log(acme, START + 2 * DAY, prices=[YEARLY])
        log(acme, START + 3 * DAY, status="canceled")
        log(acme, START + 5 * DAY, subscription="sub_2")
        assert rebuild.rebuild_recent_days(date(2026, 3, 8)) == date(2026, 3, 1)
        assert movements() == [
            (1, "new", 0, 10_800),
            (2, "expansion", 10_800, 34_800),
            (3, "contraction", 34_800, 10_001),
            (4, "churn", 10_001, 0),
            (6, "reactivation", 0, 10_800),
        ]
        days = {row.day.day: row for row in RevenueDay.objects.all()}
        assert [days[number].closing for number in range(1, 9)] == [10_800, 34_800, 10_001, 0, 0, 10_800, 10_800, 10_800]
        assert [days[number].customers for number in range(1, 9)] == [1, 1, 1, 0, 0, 1, 1, 1]
        assert all(
            row.opening + row.new + row.expansion + row.reactivation - row.contraction - row.churn == row.closing for row in days.values()
        )

    def test_two_subscriptions_of_an_organization_are_one_customer(self, acme):
        log(acme, START)
        log(acme, START + DAY, subscription="sub_2")
        log(acme, START + 2 * DAY, status="canceled")
        log(acme, START + 2 * DAY, subscription="sub_3")
        rebuild.rebuild_recent_days(date(2026, 3, 4))
        assert movements() == [(1, "new", 0, 10_800), (2, "expansion", 10_800, 21_600)]
        assert RevenueDay.objects.get(day=date(2026, 3, 3)).customers == 1

    def test_currencies_are_apart(self, acme):
        log(acme, START)
        log(acme, START, subscription="sub_2", currency="eur")
        rebuild.rebuild_recent_days(date(2026, 3, 1))
        assert {row.currency: row.closing for row in RevenueDay.objects.all()} == {"usd": 10_800, "eur": 10_800}

    def test_trials_start_convert_and_end(self, acme):
        for number, ending in enumerate(["active", "canceled", "past_due"]):
            trial = {"subscription": f"sub_{number}", "on_first_trial": True}
            log(acme, START, status="trialing", **trial)
            log(acme, START + 3 * DAY, status=ending, subscription=f"sub_{number}")
        rebuild.rebuild_recent_days(date(2026, 3, 5))
        days = {row.day.day: row for row in RevenueDay.objects.all()}
        assert (days[1].trials_started, days[3].trials, days[4].trials) == (3, 3, 0)
        assert (days[4].trials_converted, days[4].trials_lost) == (2, 1)
        figures = selectors.revenue_figures(selectors.revenue_days("usd", MARCH), MARCH)
        assert (float(figures.trial_conversion), figures.at_risk, figures.customers) == (pytest.approx(2 / 3), 900, 1)

    def test_a_late_event_replaces_past_days(self, acme):
        log(acme, START)
        rebuild.rebuild_recent_days(date(2026, 3, 20))
        log(acme, START + 4 * DAY, status="canceled")
        assert rebuild.rebuild_recent_days(date(2026, 3, 20)) == date(2026, 3, 5)
        assert movements()[-1] == (5, "churn", 10_800, 0)
        assert RevenueDay.objects.get(day=date(2026, 3, 20)).closing == 0

    def test_a_rebuild_of_any_days_gives_the_same_figures(self, acme):
        log(acme, START)
        log(acme, START + 10 * DAY, status="past_due")
        log(acme, START + 20 * DAY, status="canceled")
        rebuild.rebuild_recent_days(date(2026, 3, 30))
        before = everything()
        RevenueSnapshot.objects.all().delete()
        RevenueDay.objects.filter(day__lt=date(2026, 3, 15)).delete()
        out = StringIO()
        call_command("rebuild_revenue", "--from", "2026-03-01", "--to", "2026-03-14", stdout=out)
        assert "Rebuilt the figures from 2026-03-01" in out.getvalue()
        RevenueDay.objects.filter(day__gt=date(2026, 3, 30)).delete()
        RevenuePlanDay.objects.filter(day__gt=date(2026, 3, 30)).delete()
        assert everything() == before

    @pytest.mark.parametrize(
        ("first", "last", "message"), [("2026-03-02", "2026-03-01", "after --to"), ("2026-03-01", "2999-01-01", "current day")]
    )
    def test_the_command_refuses_impossible_days(self, first, last, message):
        with pytest.raises(CommandError, match=message):
            call_command("rebuild_revenue", "--from", first, "--to", last)

    def test_the_log_is_append_only(self, acme):
        log(acme, START)
        for statement in (SubscriptionChange.objects.all().delete, lambda: SubscriptionChange.objects.update(status="canceled")):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                statement()

    def test_subscriptions_of_before_the_log_are_recorded_once(self, acme):
        version = EntitlementsManager.version("pro")
        SubscriptionState.objects.create(
            organization=acme,
            stripe_subscription_id="sub_9",
            stripe_customer_id="cus_9",
            status="canceled",
            plan_version=version,
            interval="month",
            currency="usd",
            unit_amount=900,
            quantity=2,
            started_at=START,
            anchor=START,
            trial_start=START,
            trial_end=START + 3 * DAY,
            ended_at=START + 9 * DAY,
        )
        rebuild.rebuild_recent_days(date(2026, 3, 15))
        rows = RevenueSnapshot.objects.order_by("first_day").values_list("state", "first_day", "last_day", "annual_amount", "plan")
        assert list(rows) == [
            ("trial", date(2026, 3, 1), date(2026, 3, 3), 0, "pro"),
            ("active", date(2026, 3, 4), date(2026, 3, 9), 21_600, "pro"),
        ]
        assert change_log.record_known_subscriptions() == 0

    def test_organizations_and_usage_are_counted_by_day(self, acme):
        OrganizationFactory()
        UsageTracker(acme).consume("sessions", 7)
        rebuild.rebuild_recent_days()
        today = OrganizationDay.objects.get(day=rebuild.today())
        assert (today.organizations, today.created, today.active, today.active_in_30_days) == (2, 2, 1, 1)
        assert UsageDay.objects.get(day=rebuild.today(), tool="").amount == 7
        rebuild.rebuild_recent_days(rebuild.today() + 29 * DAY)
        assert OrganizationDay.objects.get(day=rebuild.today() + 29 * DAY).active_in_30_days == 1
        rebuild.rebuild_recent_days(rebuild.today() + 31 * DAY)
        assert OrganizationDay.objects.get(day=rebuild.today() + 30 * DAY).active_in_30_days == 0

    def test_overage_is_that_of_the_finalized_invoices(self, payer, owner):
        payer.buy()
        assert Api().put("/api/billing/overage", {"enabled": True, "cap": 2000}, by=owner).status_code == 200
        payer.world.deliver()
        UsageTracker(payer.organization).consume("sessions", 1_030)
        run("billing.report_overage", timestamp=0)
        payer.later(32)
        payer.later(1)
        invoice = Invoice.objects.filter(billing_reason="subscription_cycle", status="paid").first()
        assert invoice.total == 960
        day = invoice.finalized_at.date()
        rebuild.rebuild_days(day, day)
        assert RevenueDay.objects.get(day=day).overage == 60

    def test_a_discount_that_is_known_later_completes_the_log(self, payer):
        coupon = payer.world.sdk.coupons.create({"percent_off": 50, "duration": "repeating", "duration_in_months": 2})
        subscription = payer.world.subscribe(payer.customer, price_of(), discounts=[{"coupon": coupon.id}])
        payer.world.sdk.subscriptions.update(subscription.id, {"discounts": ""})
        events = payer.world.new_events()
        late = [each for each in events if each["type"] == "customer.discount.created"]
        payer.world.deliver(each for each in events if each not in late)
        created = "customer.subscription.created"
        number = WebhookEvent.objects.get(type=created).event_id
        assert SubscriptionChange.objects.get(event_id=number).discounts == [
            {**discount(duration=None, currency=None), "id": late[0]["data"]["object"]["id"]}
        ]
        payer.world.deliver(late)
        newest = SubscriptionChange.objects.filter(event_id=number).order_by("revision").last()
        assert (newest.revision, newest.discounts[0]["percent_off"]) == (1, 50)


MARCH = Period(date(2026, 3, 1), date(2026, 3, 5))


def everything():
    generated = {"id", "computed_at"}
    models = (RevenueDay, RevenueMovement, RevenuePlanDay, RevenueSnapshot)
    rows = [row for model in models for row in model.objects.values()]
    return sorted(str({name: value for name, value in row.items() if name not in generated}) for row in rows)
