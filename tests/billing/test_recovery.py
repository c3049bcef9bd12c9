"""A new card pays what is open of what still runs, and nothing else."""

import pytest

from billing.services import recovery
from tests.factories.billing import price_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("status", "days"), [("past_due", 31.2), ("unpaid", 45)])
def test_a_card_added_after_the_old_one_was_removed_pays_too(payer, status, days):
    payer.world.control("dunning", retries=[5, 10], final="unpaid")
    payer.buy()
    payer.declines()
    payer.later(days)
    assert payer.state.status == status
    payer.no_cards()
    payer.world.deliver()
    payer.world.card(payer.customer)
    payer.world.deliver()
    assert payer.state.status == "active"


def test_so_does_the_first_card_after_a_trial_without_one(payer):
    payer.no_cards()
    payer.buy(trial_period_days=14)
    payer.later(14.2)
    assert payer.state.status == "past_due"
    payer.world.card(payer.customer)
    payer.world.deliver()
    assert payer.state.status == "active"


def test_a_card_is_not_tried_again_for_being_seen_the_first_time(payer, monkeypatch):
    tried = []
    monkeypatch.setattr(recovery.invoices, "pay", lambda *args, **options: tried.append(args))
    payer.declines()
    payer.buy(payment_behavior="allow_incomplete")
    assert payer.state.status == "incomplete"
    assert tried == []


def test_who_comes_back_pays_no_debt_of_what_is_over(payer, acme, api, owner):
    payer.buy()
    payer.declines()
    payer.later(31.2)
    api.post("/api/billing/cancel", {"at": "now"}, by=owner)
    payer.world.deliver()
    payer.later(60)
    payer.world.card(payer.customer)
    payer.world.subscribe(payer.customer, price_of())
    payer.world.deliver()
    recovery.pay_open_invoices(payer.customer, payer.account.payment_method["id"])
    assert payer.plan == "pro"
    assert [invoice.status for invoice in acme.invoices.order_by("created_at")] == ["paid", "open", "paid"]
