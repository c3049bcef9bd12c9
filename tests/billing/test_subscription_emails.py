"""Emails about subscriptions: trial started, plan changed, canceled, resumed, renewal of yearly plans, refund, expiring card."""

from datetime import timedelta

import pytest
from django.core import mail

from accounts.models import User
from billing.manager import BillingManager
from billing.models import BillingNotification
from billing.notifications import deliver, schedule
from contextmcp.common.clock import now
from tests.billing.test_dunning import letters

pytestmark = pytest.mark.django_db


def test_trial_cancellation_resumption_and_plan_change_are_reported_once(payer, acme, owner):
    payer.buy(trial_period_days=14)
    assert letters() == ["Your trial of ContextMCP Pro has started"]
    payer.later(11.5)
    assert any(title.startswith("Your trial ends on") for title in letters())
    payer.later(3)
    letters()
    manager = BillingManager(acme)
    for _ in range(2):
        manager.cancel(owner.caller)
        payer.world.deliver()
        assert letters() == ["Your subscription is canceled"]
        manager.resume(owner.caller)
        payer.world.deliver()
        assert letters() == ["Your subscription continues"]
        payer.later(0.1)
    manager.change_plan("enterprise", "month", actor=owner.caller)
    payer.world.deliver()
    titles = letters()
    assert "Your plan is now ContextMCP Enterprise" in titles
    manager.change_plan("pro", "month", actor=owner.caller)
    payer.world.deliver()
    (title,) = letters()
    assert title.startswith("Your plan changes to ContextMCP Pro on ")
    payer.later(0.1)
    assert letters() == []


def test_a_yearly_plan_is_announced_before_it_renews(payer):
    payer.buy("pro", "year")
    letters()
    payer.later(365 - 36)
    assert letters() == []
    payer.later(2)
    deliver.deliver_due()
    (email,) = mail.outbox
    assert email.subject.startswith("Your yearly subscription renews on ")
    assert "your payment method is charged $90.00" in email.body
    mail.outbox.clear()
    payer.later(1)
    assert letters() == []


def test_a_card_is_announced_before_it_expires(payer, acme):
    payer.buy()
    letters()
    present = now(acme)
    soon = present + timedelta(days=20)
    account = payer.account
    account.payment_method |= {"exp_month": soon.month, "exp_year": soon.year}
    account.save()
    schedule.schedule_notifications(account, acme.subscriptions.all())
    rows = BillingNotification.objects.filter(kind="card_expiring")
    row = rows.get(transition=f"{soon.year}-{soon.month}")
    assert timedelta(0) < row.due_at + schedule.CARD_WARNING - present < timedelta(days=52)
    rows.update(due_at=present)
    assert letters() == ["Your card expires soon"]
    # The former card is no longer charged, and an expired one is no news.
    assert rows.exclude(pk=row.pk).filter(canceled_at=None).count() == 0
    count = rows.count()
    account.payment_method |= {"exp_year": soon.year - 2}
    account.save()
    schedule.schedule_notifications(account, acme.subscriptions.all())
    assert rows.count() == count


def test_a_refund_is_reported(payer, stripe_world):
    payer.buy()
    invoice = payer.organization.invoices.get()
    letters()
    intent = invoice.payment_ids.split()[0]
    stripe_world.sdk.refunds.create({"payment_intent": next(each for each in invoice.payment_ids.split() if each.startswith("pi_"))})
    stripe_world.deliver()
    assert intent and letters() == ["Refund of $9.00"]
    stripe_world.deliver()
    assert letters() == []


def test_emails_are_in_the_language_and_time_zone_of_the_billing_address(payer, acme, owner):
    User.objects.filter(pk=owner.user.pk).update(language="de", time_zone="Europe/Berlin")
    acme.email = "accounting@acme.example"
    acme.save()
    payer.buy()
    deliver.deliver_due()
    (email,) = [each for each in mail.outbox if "Zahlungsbeleg" in each.subject]
    assert email.subject == "Zahlungsbeleg über 9,00\xa0$"
    assert 'lang="de"' in email.alternatives[0][0] and "Bezahlt: 9,00\xa0$" in email.body
    # A user with the billing address is the reader.
    User.objects.create(email="accounting@acme.example", language="fr")
    BillingNotification.objects.update(sent_at=None, claimed_until=None)
    mail.outbox.clear()
    assert letters() == ["Reçu de 9,00\xa0$US"]
