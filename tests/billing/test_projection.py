"""From documents to columns, case by case."""

from datetime import UTC, datetime
from typing import Any

import pytest

from billing.services.projection import past_due_since

DAY = 86_400


def invoice(day: int, status: str, *, attempted: bool = True, subscription: str = "sub_1", due: int | None = None) -> dict[str, Any]:
    return {
        "collection_method": "send_invoice" if due else "charge_automatically",
        "due_date": due and due * DAY + 3600,
        "created": day * DAY,
        "status": status,
        "attempted": attempted,
        "status_transitions": {"finalized_at": day * DAY + 3600},
        "parent": {"subscription_details": {"subscription": subscription}},
    }


def since(status: str, *invoices: dict[str, Any]) -> float | None:
    """In days."""
    subscription = {"id": "sub_1", "status": status, "start_date": 0, "items": {"data": [{"current_period_start": 90 * DAY}]}}
    found = past_due_since(subscription, invoices)
    return found and (found - datetime(1970, 1, 1, 1, tzinfo=UTC)).total_seconds() / DAY


class TestPastDueSince:
    def test_it_is_the_first_of_the_failures(self):
        assert since("past_due", invoice(40, "open"), invoice(10, "paid"), invoice(20, "open"), invoice(30, "uncollectible")) == 20

    def test_a_debt_from_before_a_payment_costs_no_grace(self):
        assert since("past_due", invoice(10, "open"), invoice(20, "paid"), invoice(30, "open")) == 30

    def test_what_was_forgiven_not_tried_or_another_subscriptions_does_not_count(self):
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

    @pytest.mark.parametrize("status", ["active", "trialing", "incomplete", "incomplete_expired", "paused"])
    def test_nothing_is_missing_otherwise(self, status):
        assert since(status, invoice(20, "open")) is None
