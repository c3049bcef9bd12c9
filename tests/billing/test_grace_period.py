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
    found = past_due_since(subscription, invoices, failures or {})
    return found and (found - datetime(1970, 1, 1, 1, tzinfo=UTC)).total_seconds() / DAY


class TestPastDueSince:
    def test_it_is_the_first_of_the_failures(self):
        assert since("past_due", invoice(40, "open"), invoice(10, "paid"), invoice(20, "open"), invoice(30, "uncollectible")) == 20

    def test_a_debt_from_before_a_payment_costs_no_grace(self):
        assert since("past_due", invoice(10, "open"), invoice(20, "paid"), invoice(30, "open")) == 30

    def test_forgiven_unattempted_and_other_failures_do_not_count(self):
        others = [
            invoice(10, "void"),
            invoice(12, "open", attempted=False),
            invoice(14, "draft"),
            invoice(16, "open", subscription="sub_2"),
        ]
        assert since("past_due", *others, invoice(30, "open")) == 30

    def test_without_a_trace_of_it_the_period_began_unpaid(self):
        assert since("unpaid") == pytest.approx(90 - 1 / 24)
        assert since("canceled") is None

    def test_one_that_is_over_keeps_it_unless_it_was_paid(self):
        assert since("canceled", invoice(20, "open")) == 20
        assert since("canceled", invoice(10, "open"), invoice(20, "paid")) is None

    def test_what_is_sent_to_be_paid_by_a_date_is_missed_on_that_date(self):
        assert since("past_due", invoice(20, "open", attempted=False, due=50)) == 50
        assert since("past_due", invoice(20, "open", due=50), invoice(51, "open", due=81)) == 50

    def test_it_is_the_failure_and_not_the_finalization_where_a_charge_tells(self):
        failures = {"in_20": 29 * DAY + 3600}
        assert since("past_due", invoice(20, "open"), failures=failures) == 29
        assert since("past_due", invoice(20, "open"), invoice(30, "open"), failures={"in_30": 31 * DAY}) == 20

    @pytest.mark.parametrize("status", ["active", "trialing", "incomplete", "incomplete_expired", "paused"])
    def test_nothing_is_missing_otherwise(self, status):
        assert since(status, invoice(20, "open")) is None


class TestFirstFailures:
    def charge(self, day: int, status: str = "failed", intent: str | None = "pi_1", **more: Any) -> dict[str, Any]:
        return {"status": status, "payment_intent": intent, "created": day * DAY, **more}

    def found(self, *charges: dict[str, Any]) -> dict[str, int | None]:
        payments = {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]}
        return first_failures([invoice(20, "open") | {"payments": payments}], charges)

    def test_of_several_attempts_the_first_counts(self):
        assert self.found(self.charge(25), self.charge(21), self.charge(20, "pending")) == {"in_20": 21 * DAY}

    def test_a_debit_that_bounced_failed_when_the_bank_said_so(self):
        assert self.found(self.charge(20, failure_balance_transaction={"created": 29 * DAY})) == {"in_20": 29 * DAY}

    def test_a_debit_that_the_bank_has_not_answered_did_not_fail(self):
        assert self.found(self.charge(20, "pending")) == {"in_20": None}
        assert since("canceled", invoice(20, "open"), failures={"in_20": None}) is None

    def test_charges_of_nothing_known_are_left_out(self):
        assert self.found(self.charge(20, intent="pi_2"), self.charge(20, intent=None), self.charge(20, "succeeded")) == {}
