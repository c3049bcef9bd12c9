"""Staff correct usage, sync and reconcile."""

from datetime import timedelta

import pytest

from billing.models import ReconciliationRun, SubscriptionState
from contextmcp.common.clock import now
from tests.support.staff_actions import errors, message, rows
from usage import selectors
from usage.models import UsageCounter
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(staff_with):
    return staff_with("usage.correct_usage", "billing.operate_billing")


def used(organization):
    return next(each for each in UsageTracker(organization).current().usage if each.feature == "sessions")


def test_counted_units_are_subtracted_once(acme, staff):
    UsageTracker(acme).consume("sessions", 40)
    form = staff.confirmation(acme, "correct-usage", feature="sessions", change="reduce", amount="15")
    for _ in range(2):
        assert message(staff.confirm(acme, "correct-usage", form)) == "Sessions: 25 used of 50."
    assert used(acme).used == 25
    event = staff.only_event("usage.corrected")
    assert (event.target, event.before["used"], event.after["used"], event.after["amount"]) == ("sessions", 40, 25, 15)


def test_a_correction_subtracts_at_most_what_was_counted(acme, staff):
    UsageTracker(acme).consume("sessions", 4)
    page = staff.preview(acme, "correct-usage", feature="sessions", change="reduce", amount="9")
    assert rows(page)["Sessions used"] == ("4", "0")
    assert "at most the counted usage" in page.context["preview"].warnings[0]
    staff.act(acme, "correct-usage", feature="sessions", change="reduce", amount="9")
    assert used(acme).used == 0


def test_a_credit_allows_more_in_this_usage_month(acme, staff):
    UsageTracker(acme).consume("sessions", 50)
    page = staff.preview(acme, "correct-usage", feature="sessions", change="credit", amount="20")
    assert rows(page)["Included"] == ("50", "70 (20 credited)")
    assert staff.act(acme, "correct-usage", feature="sessions", change="credit", amount="20") == "Sessions: 50 used of 70 (20 credited)."
    assert (used(acme).used, used(acme).remaining) == (50, 20)
    UsageTracker(acme).consume("sessions", 20)
    staff.only_event("usage.credited")


def test_missing_usage_is_added_beyond_the_limit(acme, staff):
    page = staff.preview(acme, "correct-usage", feature="sessions", change="add", amount="60")
    assert "10 over the included amount" in page.context["preview"].warnings[0]
    staff.act(acme, "correct-usage", feature="sessions", change="add", amount="60")
    assert used(acme).used == 60


def test_the_day_of_use_selects_the_usage_month(acme, staff):
    acme.created_at = now() - timedelta(days=90)
    acme.save(update_fields=["created_at"])
    day = (now() - timedelta(days=34)).date().isoformat()
    staff.act(acme, "correct-usage", feature="sessions", change="add", amount="3", on=day)
    assert used(acme).used == 0
    assert UsageCounter.objects.get(organization=acme, used=3).period_end <= selectors.period_at(UsageTracker(acme).entitlements, now()).end
    for wrong in ("2020-01-01", (now() + timedelta(days=2)).date().isoformat()):
        assert errors(staff.preview(acme, "correct-usage", feature="sessions", change="add", amount="3", on=wrong))[2]["on"]


@pytest.mark.parametrize("values", [{"amount": "0"}, {"amount": "-4"}, {"feature": "projects"}, {"change": "wipe"}])
def test_only_quotas_and_positive_amounts_are_corrected(acme, staff, values):
    page = staff.preview(acme, "correct-usage", **{"feature": "sessions", "change": "reduce", "amount": "1", **values})
    assert next(iter(values)) in errors(page)[2]


def test_a_sync_shows_and_repairs_the_differences(payer, acme, staff):
    payer.buy()
    SubscriptionState.objects.update(status="canceled")
    page = staff.preview(acme, "sync")
    assert any("status" in label for label in rows(page))
    assert payer.state.status == "canceled"
    assert "difference" in staff.act(acme, "sync")
    assert payer.state.status == "active"
    staff.only_event("billing.synced")
    assert rows(staff.preview(acme, "sync")) == {"Differences": ("none", "none")}


def test_a_dry_run_of_a_reconciliation_repairs_nothing(payer, acme, staff):
    payer.buy()
    SubscriptionState.objects.update(status="canceled")
    assert "nothing was changed" in staff.act(acme, "reconcile", dry_run="on")
    assert (payer.state.status, ReconciliationRun.objects.get().dry_run) == ("canceled", True)
    staff.only_event("billing.reconciled")
    assert "and recorded" in staff.act(acme, "reconcile")
    assert payer.state.status == "active"
