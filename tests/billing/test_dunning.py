"""Failed payments: emails, recovery, receipts and the refund policy."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import override_settings

from accounts.models import AuditEvent
from billing.manager import BillingManager
from billing.models import BillingNotification, Invoice
from billing.notifications import deliver as sender
from billing.subscriptions import pay_open_invoices
from tests.support.stripe import run

pytestmark = pytest.mark.django_db


def letters() -> list[str]:
    sender.deliver_due()
    titles = [email.subject for email in mail.outbox]
    mail.outbox.clear()
    return titles


def test_grace_period_sends_emails_at_start_halfway_and_the_day_before(payer, acme):
    payer.buy(trial_period_days=14)
    letters()
    payer.declines()
    payer.later(14.1)
    state = payer.state
    assert state.status == "past_due"
    assert payer.plan == "pro"
    assert BillingManager(acme).dunning().stage == "started"
    assert letters() == ["Payment failed"]
    payer.later(3.5)
    assert BillingManager(acme).dunning().stage == "halfway"
    assert letters() == ["Payment still outstanding"]
    payer.later(2.7)
    assert BillingManager(acme).dunning().stage == "last_day"
    assert letters() == ["ContextMCP Pro will be paused tomorrow"]
    assert payer.plan == "pro"
    payer.later(1.0)
    dunning = BillingManager(acme).dunning()
    assert (dunning.stage, dunning.amount, dunning.currency) == ("over", 900, "usd")
    assert dunning.invoice_url
    assert letters() == ["ContextMCP Pro is paused"]
    assert payer.plan == "free"
    assert letters() == []


def test_a_failure_detected_late_sends_only_the_current_email(payer):
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.world.new_events()
    payer.world.advance(payer.clock, days=14.1 + 5)
    payer.world.deliver()
    payer.organization.refresh_from_db()
    assert letters() == ["Payment still outstanding"]
    payer.later(5)
    assert letters() == ["ContextMCP Pro will be paused tomorrow", "ContextMCP Pro is paused"]


def test_emails_offer_to_keep_the_plan_and_afterwards_to_restore_it(payer):
    payer.buy(trial_period_days=14)
    letters()
    payer.declines()
    payer.later(14.1)
    sender.deliver_due()
    assert "to keep your subscription" in mail.outbox.pop().body
    payer.later(7.2)
    sender.deliver_due()
    assert "to restore your subscription" in mail.outbox[-1].body


def test_a_failure_detected_after_grace_sends_only_the_final_email(payer):
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.world.advance(payer.clock, days=14.1 + 9)
    payer.world.deliver()
    payer.organization.refresh_from_db()
    assert letters() == ["ContextMCP Pro is paused"]


def test_a_new_card_pays_the_open_invoice(payer, acme):
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
    # The emails for later days no longer apply and are not sent.
    payer.later(7)
    assert letters() == []
    assert BillingNotification.objects.filter(kind="dunning_last_day", canceled_at__isnull=False).exists()


def test_a_new_card_that_declines_changes_nothing(payer):
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.later(14.1)
    payer.world.card(payer.customer, "pm_card_chargeCustomerFail")
    payer.world.deliver()
    assert payer.state.status == "past_due"


def test_only_the_current_card_is_charged(payer):
    payer.buy()
    assert pay_open_invoices.pay_open_invoices(payer.customer, "pm_other") == 0
    assert pay_open_invoices.pay_open_invoices("cus_none", "pm_other") == 0


@pytest.mark.parametrize("final", ["cancel", "unpaid", "past_due"])
def test_after_the_last_retry_nothing_entitles(payer, final):
    payer.world.control("dunning", retries=[1, 2], final=final)
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.later(14.1)
    payer.later(10)
    assert payer.state.status == {"cancel": "canceled"}.get(final, final)
    assert payer.plan == "free"


def test_a_trial_without_a_card_ends_on_the_free_plan(stripe_world, payer, acme):
    stripe_world.sdk.customers.update(payer.customer, {"invoice_settings": {"default_payment_method": ""}})
    for card in stripe_world.sdk.payment_methods.list({"customer": payer.customer}).data:
        stripe_world.sdk.payment_methods.detach(card.id)
    payer.buy(trial_period_days=14, trial_settings={"end_behavior": {"missing_payment_method": "cancel"}})
    assert payer.plan == "pro"
    payer.later(14.2)
    assert payer.state.status == "canceled"
    assert payer.plan == "free"
    assert payer.account.payment_method is None


def test_a_receipt_is_emailed_once(payer, acme):
    payer.buy()
    sender.deliver_due()
    email = next(each for each in mail.outbox if each.subject.startswith("Receipt"))
    assert email.to == [acme.email]
    assert "Paid: $9.00" in email.body
    html = email.alternatives[0][0]
    assert "$9.00" in html and "Download PDF" in html
    mail.outbox.clear()
    payer.world.deliver(payer.world.events())
    assert letters() == []


def test_a_receipt_shows_discount_and_currency(payer):
    coupon = payer.world.sdk.coupons.create({"percent_off": 50, "duration": "once"})
    payer.buy(discounts=[{"coupon": coupon.id}])
    sender.deliver_due()
    body = next(each for each in mail.outbox if each.subject.startswith("Receipt")).body
    assert "Discount: -$4.50" in body
    assert "Paid: $4.50" in body


def test_trial_reminder_is_sent_three_days_before_unless_canceled(payer):
    subscription = payer.buy(trial_period_days=14)
    assert letters() == ["Your trial of ContextMCP Pro has started"]
    payer.later(11.5)
    assert any(title.startswith("Your trial ends on") for title in letters())
    payer.world.sdk.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    payer.later(3)
    assert letters()[-1] == "ContextMCP Pro has ended"


def test_resumed_trial_still_sends_its_reminder(payer, api, owner):
    payer.buy(trial_period_days=14)
    api.post("/api/billing/cancel", {}, by=owner)
    assert letters() == ["Your subscription is canceled"]
    payer.later(11.5)
    assert letters() == []
    api.post("/api/billing/resume", {}, by=owner)
    assert sorted(title[:18] for title in letters()) == ["Your subscription ", "Your trial ends on"]
    payer.later(0.5)
    assert letters() == []


def test_a_failing_mail_server_is_retried(payer, monkeypatch):
    payer.buy()
    with override_settings(EMAIL_BACKEND="tests.support.failing_mail.Backend"):
        assert sender.deliver_due() == 0
    notice = BillingNotification.objects.get(kind="receipt")
    assert notice.error.startswith("ConnectionRefusedError")
    assert sender.deliver_due() == 0  # leased for a while
    BillingNotification.objects.update(claimed_until=None)
    assert sender.deliver_due() == 1
    notice.refresh_from_db()
    assert notice.sent_at and not notice.error


def test_two_senders_send_an_email_once(payer):
    payer.buy()
    notice = BillingNotification.objects.get(kind="receipt")
    assert sender._send(notice)
    assert not sender._send(notice)
    assert len(mail.outbox) == 1


def test_old_payments_send_no_email(payer, acme):
    payer.buy()
    BillingNotification.objects.all().delete()
    payer.world.advance(payer.clock, days=10)
    BillingManager(acme).sync()
    payer.world.deliver()
    assert not BillingNotification.objects.filter(kind="receipt").exists()


class TestMoneyThatGoesBack:
    def refund(self, payer):
        charge = payer.world.sdk.charges.list({"customer": payer.customer}).data[0]
        payer.world.sdk.refunds.create({"charge": charge.id})
        payer.world.deliver()

    def test_by_default_a_refund_does_not_cancel(self, payer):
        payer.buy()
        self.refund(payer)
        assert payer.plan == "pro"

    def test_a_full_refund_cancels_if_configured(self, payer, settings):
        settings.BILLING_REFUND_POLICY = "cancel"
        payer.buy()
        self.refund(payer)
        payer.world.deliver()
        assert payer.state.status == "canceled"
        assert payer.plan == "free"
        assert AuditEvent.objects.filter(action="billing.refunded").count() == 1

    def test_a_partial_refund_does_not_cancel(self, payer, settings):
        settings.BILLING_REFUND_POLICY = "cancel"
        payer.buy()
        charge = payer.world.sdk.charges.list({"customer": payer.customer}).data[0]
        payer.world.sdk.refunds.create({"charge": charge.id, "amount": 100})
        payer.world.deliver()
        assert payer.plan == "pro"

    def test_a_lost_dispute_cancels_if_configured(self, payer, settings):
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

    def test_policy_without_a_subscription_does_nothing(self):
        run("billing.cancel_for_policy", customer_id="cus_none", reason="refunded")


@pytest.mark.parametrize(("days", "plan"), [(3, "pro"), (0, "free")])
def test_the_length_of_the_grace_period_is_configurable(payer, settings, days, plan):
    settings.BILLING_GRACE_DAYS = days
    payer.buy(trial_period_days=14)
    payer.declines()
    payer.later(14.1)
    state = payer.state
    assert state.grace_until - state.past_due_since == timedelta(days=days)
    assert payer.plan == plan


def test_a_bounced_debit_starts_a_full_grace_period(payer):
    """The bank answers nine days after the invoice was finalized, which is longer than the grace period."""
    payer.buy()
    payer.world.control("debits", days=9)
    debit = payer.world.sdk.payment_methods.create(
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": "AT861904300235473202"},
            "billing_details": {"name": "Ann Example", "email": "ann@example.com"},
        }
    )
    payer.world.sdk.payment_methods.attach(debit.id, {"customer": payer.customer})
    payer.world.sdk.customers.update(payer.customer, {"invoice_settings": {"default_payment_method": debit.id}})
    renewal = payer.state.current_period_end
    payer.later(39)
    assert (payer.state.status, payer.plan) == ("active", "pro")
    payer.later(2)
    assert payer.state.status == "past_due"
    assert timedelta(days=9) <= payer.state.past_due_since - renewal < timedelta(days=9, hours=2)
    assert payer.state.grace_until - payer.state.past_due_since == timedelta(days=7)
    assert payer.plan == "pro"
