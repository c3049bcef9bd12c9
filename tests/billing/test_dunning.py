"""Payments that fail, what is said about it, and what sets it right. Receipts and policy, too."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import override_settings

from accounts.models import AuditEvent
from billing.manager import BillingManager
from billing.models import Invoice, Notice
from billing.services import mail as sender
from billing.services import recovery
from tests.support.stripe import run

pytestmark = pytest.mark.django_db


def letters() -> list[str]:
    sender.send_due()
    titles = [letter.subject for letter in mail.outbox]
    mail.outbox.clear()
    return titles


def test_grace_runs_out_with_a_letter_at_the_start_halfway_and_the_day_before(payer, acme):
    payer.buy(trial_period_days=14)
    letters()
    payer.declines()
    payer.later(14.1)
    state = payer.state
    assert state.status == "past_due"
    assert payer.plan == "pro"
    assert BillingManager(acme).dunning().stage == "started"
    assert letters() == ["A payment did not go through"]
    payer.later(3.5)
    assert BillingManager(acme).dunning().stage == "halfway"
    assert letters() == ["A payment is still missing"]
    payer.later(2.7)
    assert BillingManager(acme).dunning().stage == "last_day"
    assert letters() == ["ContextMCP Pro ends tomorrow"]
    assert payer.plan == "pro"
    payer.later(1.0)
    dunning = BillingManager(acme).dunning()
    assert (dunning.stage, dunning.amount, dunning.currency) == ("over", 900, "usd")
    assert dunning.invoice_url
    assert letters() == ["ContextMCP Pro is paused"]
    assert payer.plan == "free"
    assert letters() == []


def test_heard_of_late_only_the_letter_of_that_day_is_sent(payer):
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.world.news()
    payer.world.advance(payer.clock, days=14.1 + 5)
    payer.world.deliver()
    payer.organization.refresh_from_db()
    assert letters() == ["A payment is still missing"]
    payer.later(5)
    assert letters() == ["ContextMCP Pro ends tomorrow", "ContextMCP Pro is paused"]


def test_heard_of_after_grace_it_is_only_said_that_it_is_over(payer):
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.world.advance(payer.clock, days=14.1 + 9)
    payer.world.deliver()
    payer.organization.refresh_from_db()
    assert letters() == ["ContextMCP Pro is paused"]


def test_a_new_card_pays_what_the_old_one_did_not(payer, acme):
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.later(14.1)
    assert payer.plan == "pro"
    payer.world.card(payer.customer)
    payer.world.deliver()
    payer.world.deliver()
    assert payer.state.status == "active"
    assert Invoice.objects.filter(status="open").count() == 0
    assert BillingManager(acme).dunning() is None
    sent = letters()
    assert "Receipt for $9.00" in sent
    # What was written for the days to come is no longer true, and is not said.
    payer.later(7)
    assert letters() == []
    assert Notice.objects.filter(kind="dunning_last_day", dropped_at__isnull=False).exists()


def test_a_new_card_that_declines_too_changes_nothing(payer):
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.later(14.1)
    payer.world.card(payer.customer, "pm_card_chargeCustomerFail")
    payer.world.deliver()
    assert payer.state.status == "past_due"


def test_only_the_present_card_is_tried(payer):
    payer.buy()
    assert recovery.pay_open_invoices(payer.customer, "pm_other") == 0
    assert recovery.pay_open_invoices("cus_none", "pm_other") == 0


@pytest.mark.parametrize("final", ["cancel", "unpaid", "past_due"])
def test_when_stripe_gives_up_nothing_entitles(payer, final):
    payer.world.control("dunning", retries=[1, 2], final=final)
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.later(14.1)
    payer.later(10)
    assert payer.state.status == {"cancel": "canceled"}.get(final, final)
    assert payer.plan == "free"


def test_a_trial_without_a_card_ends_without_a_plan(stripe_world, payer, acme):
    stripe_world.sdk.customers.update(payer.customer, {"invoice_settings": {"default_payment_method": ""}})
    for card in stripe_world.sdk.payment_methods.list({"customer": payer.customer}).data:
        stripe_world.sdk.payment_methods.detach(card.id)
    payer.buy(trial_period_days=14, trial_settings={"end_behavior": {"missing_payment_method": "cancel"}})
    assert payer.plan == "pro"
    payer.later(14.2)
    assert payer.state.status == "canceled"
    assert payer.plan == "free"
    assert payer.account.payment_method is None


def test_a_receipt_is_mailed_once_in_text_and_html(payer, acme):
    payer.buy()
    sender.send_due()
    letter = next(each for each in mail.outbox if each.subject.startswith("Receipt"))
    assert letter.to == [acme.email]
    assert "Paid: $9.00" in letter.body
    html = letter.alternatives[0][0]
    assert "$9.00" in html and "Download it as PDF" in html
    mail.outbox.clear()
    payer.world.deliver(payer.world.events())
    assert letters() == []


def test_a_receipt_shows_discount_and_currency(payer):
    coupon = payer.world.sdk.coupons.create({"percent_off": 50, "duration": "once"})
    payer.buy(discounts=[{"coupon": coupon.id}])
    sender.send_due()
    body = next(each for each in mail.outbox if each.subject.startswith("Receipt")).body
    assert "Discount: -$4.50" in body
    assert "Paid: $4.50" in body


def test_the_end_of_a_trial_is_told_three_days_before_unless_it_was_cancelled(payer):
    bought = payer.buy(trial_period_days=14)
    assert letters() == []
    payer.later(11.5)
    assert any(title.startswith("Your trial ends on") for title in letters())
    payer.world.sdk.subscriptions.update(bought.id, {"cancel_at_period_end": True})
    payer.later(3)
    assert letters() == ["ContextMCP Pro has ended"]


def test_who_cancels_a_trial_and_resumes_is_told_of_its_end_all_the_same(payer, api, owner):
    payer.buy(trial_period_days=14)
    api.post("/api/billing/cancel", {}, by=owner)
    payer.later(11.5)
    assert letters() == []
    api.post("/api/billing/resume", {}, by=owner)
    assert [title[:18] for title in letters()] == ["Your trial ends on"]
    payer.later(0.5)
    assert letters() == []


def test_a_mail_server_that_fails_is_tried_again(payer, monkeypatch):
    payer.buy()
    with override_settings(EMAIL_BACKEND="tests.support.failing_mail.Backend"):
        assert sender.send_due() == 0
    notice = Notice.objects.get(kind="receipt")
    assert notice.error.startswith("ConnectionRefusedError")
    assert sender.send_due() == 0  # claimed for a while
    Notice.objects.update(claimed_until=None)
    assert sender.send_due() == 1
    notice.refresh_from_db()
    assert notice.sent_at and not notice.error


def test_two_senders_send_a_letter_once(payer):
    payer.buy()
    notice = Notice.objects.get(kind="receipt")
    assert sender._send(notice)
    assert not sender._send(notice)
    assert len(mail.outbox) == 1


def test_old_payments_are_not_news(payer, acme):
    payer.buy()
    Notice.objects.all().delete()
    payer.world.advance(payer.clock, days=10)
    BillingManager(acme).sync()
    payer.world.deliver()
    assert not Notice.objects.filter(kind="receipt").exists()


class TestMoneyThatGoesBack:
    def refund(self, payer):
        charge = payer.world.sdk.charges.list({"customer": payer.customer}).data[0]
        payer.world.sdk.refunds.create({"charge": charge.id})
        payer.world.deliver()

    def test_by_default_the_subscription_goes_on(self, payer):
        payer.buy()
        self.refund(payer)
        assert payer.plan == "pro"

    def test_by_setting_it_ends(self, payer, settings):
        settings.BILLING_REFUND_POLICY = "cancel"
        payer.buy()
        self.refund(payer)
        payer.world.deliver()
        assert payer.state.status == "canceled"
        assert payer.plan == "free"
        assert AuditEvent.objects.filter(action="billing.refunded").count() == 1

    def test_a_part_of_it_ends_nothing(self, payer, settings):
        settings.BILLING_REFUND_POLICY = "cancel"
        payer.buy()
        charge = payer.world.sdk.charges.list({"customer": payer.customer}).data[0]
        payer.world.sdk.refunds.create({"charge": charge.id, "amount": 100})
        payer.world.deliver()
        assert payer.plan == "pro"

    def test_a_lost_dispute_ends_it_by_setting(self, payer, settings):
        settings.BILLING_REFUND_POLICY = "cancel"
        payer.buy()
        charge = payer.world.sdk.charges.list({"customer": payer.customer}).data[0]
        dispute = payer.world.control("disputes", charge=charge.id)
        payer.world.deliver()
        assert payer.plan == "pro"
        payer.world.sdk.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": "losing_evidence"}, "submit": True})
        payer.world.deliver()
        payer.world.deliver()
        assert payer.organization.billing_adjustments.get().status == "lost"
        assert payer.plan == "free"

    def test_a_policy_for_nobody_does_nothing(self):
        run("billing.tasks.enforce_policy", customer_id="cus_none", reason="refunded")


def test_a_grace_of_another_length(payer, settings):
    settings.BILLING_GRACE_DAYS = 3
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.later(14.1)
    state = payer.state
    assert state.grace_until - state.past_due_since == timedelta(days=3)
