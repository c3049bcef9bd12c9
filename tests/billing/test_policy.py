"""When a refund or dispute ends a subscription, case by case."""

from typing import Any

import pytest

from billing.documents.refund_policy import cancellation_reason


@pytest.fixture(autouse=True)
def _cancels(settings):
    settings.BILLING_REFUND_POLICY = "cancel"


def invoice(subscription: str, intent: str) -> dict[str, Any]:
    return {
        "id": f"in_{intent}",
        "parent": {"subscription_details": {"subscription": subscription}},
        "payments": {"data": [{"payment": {"type": "payment_intent", "payment_intent": intent}}]},
    }


def charge(intent: str, created: int, *, refunded: bool = True) -> dict[str, Any]:
    return {"id": f"ch_{intent}", "payment_intent": intent, "created": created, "paid": True, "refunded": refunded}


PRESENT = {"id": "sub_2", "start_date": 1000, "ended_at": None}
FORMER = {"id": "sub_1", "start_date": 10, "ended_at": 900}


def test_payment_that_checkout_collected_before_the_subscription_counts():
    assert cancellation_reason([PRESENT], [invoice("sub_2", "pi_1")], [charge("pi_1", 998)], []) == "refunded"


def test_payments_of_another_subscription_do_not_count():
    paid = [invoice("sub_1", "pi_1"), invoice("sub_2", "pi_2")]
    params = [charge("pi_2", 998, refunded=False), charge("pi_1", 1001)]
    assert cancellation_reason([FORMER, PRESENT], paid, params, [{"status": "lost", "charge": "ch_pi_1"}]) == ""
    assert cancellation_reason([FORMER, PRESENT], paid, params, [{"status": "lost", "charge": "ch_pi_2"}]) == "dispute_lost"


def test_an_ended_subscription_is_not_canceled_again():
    assert cancellation_reason([FORMER], [invoice("sub_1", "pi_1")], [charge("pi_1", 10)], []) == ""
