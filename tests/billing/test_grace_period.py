"""From Stripe's documents to columns, case by case."""

from datetime import UTC, datetime
from typing import Any

import pytest

from billing.documents.grace_period import first_failures, past_due_since

DAY = 86_400


def invoice(day: int, status: str, *, attempted: bool = True, subscription: str = "sub_1", due: int | None = None) -> dict[str, Any]:
    return {
        "id": f"in_{day}",
        "collection_method": "send_invoice" if due else "charge_automatically",
        "due_date": due and due * DAY + 3600,
        "created": day * DAY,
        "status": status,
        "attempted": attempted,
        "status_transitions": {"finalized_at": day * DAY + 3600},
        "parent": {"subscription_details": {"subscription": subscription}},
    }


def since(status: str, *invoices: dict[str, Any], failures: dict[str, int | None] | None = None) -> float | None:
    """Return the number of days."""
    subscription = {"id": "sub_1", "status": status, "start_date": 0, "items": {"data": [{"current_period_start": 90 * DAY}]}}
    result = past_due_since(subscription, invoices, failures or {})
    return result and (result - datetime(1970, 1, 1, 1, tzinfo=UTC)).total_seconds() / DAY


class TestPastDueSince:
    def test_the_first_failure_counts(self):
        assert since("past_due", invoice(40, "open"), invoice(10, "paid"), invoice(20, "open"), invoice(30, "uncollectible")) == 20

    def test_failures_before_the_last_payment_do_not_count(self):
        assert since("past_due", invoice(10, "open"), invoice(20, "paid"), invoice(30, "open")) == 30

    def test_void_and_unattempted_invoices_do_not_count(self):
        others = [
            invoice(10, "void"),
            invoice(12, "open", attempted=False),
            invoice(14, "draft"),
            invoice(16, "open", subscription="sub_2"),
        ]
        assert since("past_due", *others, invoice(30, "open")) == 30

    def test_without_a_failed_charge_an_unpaid_period_counts_from_its_start(self):
        assert since("unpaid") == pytest.approx(90 - 1 / 24)
        assert since("canceled") is None

    def test_an_ended_subscription_keeps_the_time_unless_paid(self):
        assert since("canceled", invoice(20, "open")) == 20
        assert since("canceled", invoice(10, "open"), invoice(20, "paid")) is None

    def test_a_sent_invoice_is_overdue_at_its_due_date(self):
        assert since("past_due", invoice(20, "open", attempted=False, due=50)) == 50
        assert since("past_due", invoice(20, "open", due=50), invoice(51, "open", due=81)) == 50

    def test_the_failed_charge_precedes_the_finalization(self):
        failures = {"in_20": 29 * DAY + 3600}
        assert since("past_due", invoice(20, "open"), failures=failures) == 29
        assert since("past_due", invoice(20, "open"), invoice(30, "open"), failures={"in_30": 31 * DAY}) == 20

    @pytest.mark.parametrize("status", ["active", "trialing", "incomplete", "incomplete_expired", "paused"])
    def test_no_payment_is_missing_otherwise(self, status):
        assert since(status, invoice(20, "open")) is None


class TestFirstFailures:
    def charge(self, day: int, status: str = "failed", intent: str | None = "pi_1", **more: Any) -> dict[str, Any]:
        return {"status": status, "payment_intent": intent, "created": day * DAY, **more}

    def failures_of(self, *charges: dict[str, Any]) -> dict[str, int | None]:
        payments = {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]}
        return first_failures([invoice(20, "open") | {"payments": payments}], charges)

    def test_the_first_of_several_attempts_counts(self):
        assert self.failures_of(self.charge(25), self.charge(21), self.charge(20, "pending")) == {"in_20": 21 * DAY}

    def test_a_bounced_debit_failed_at_its_return(self):
        assert self.failures_of(self.charge(20, failure_balance_transaction={"created": 29 * DAY})) == {"in_20": 29 * DAY}

    def test_a_pending_debit_has_not_failed(self):
        assert self.failures_of(self.charge(20, "pending")) == {"in_20": None}
        assert since("canceled", invoice(20, "open"), failures={"in_20": None}) is None

    def test_charges_without_an_invoice_are_ignored(self):
        assert self.failures_of(self.charge(20, intent="pi_2"), self.charge(20, intent=None), self.charge(20, "succeeded")) == {}
