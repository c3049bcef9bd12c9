"""Money actions through the simulator: what Stripe, the projection and the audit log have afterwards."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.test import override_settings

from accounts.models import AuditEvent
from billing.errors import StripeUnavailable
from billing.models import Adjustment, BillingAction, Invoice
from billing.stripe.gateway import customers
from billing.stripe.gateway import invoices as gateway_invoices
from tests.support.staff_actions import errors, message, rows
from tests.support.stripe import work

pytestmark = pytest.mark.django_db
PERMISSIONS = {
    "free-days": "billing.extend_trial",
    "discount": "billing.give_discount",
    "end-discounts": "billing.give_discount",
    "credit": "billing.give_credit",
    "refund": "billing.refund_payment",
    "pause": "billing.pause_collection",
    "resume": "billing.pause_collection",
    "cancel": "billing.cancel_subscription",
    "uncancel": "billing.cancel_subscription",
}


@pytest.fixture
def staff(staff_with):
    return staff_with(*PERMISSIONS.values())


def settle(payer):
    """Deliver the events that the action caused. They must not change the local state any more."""
    before = (payer.state.status, payer.state.trial_end, payer.state.cancel_at, payer.state.discounts)
    payer.world.deliver()
    assert (payer.state.status, payer.state.trial_end, payer.state.cancel_at, payer.state.discounts) == before


def at_stripe(payer):
    return payer.world.sdk.subscriptions.retrieve(payer.state.stripe_subscription_id)


def invoice():
    return Invoice.objects.latest("created_at")


def refunds_at_stripe(payer):
    return payer.world.sdk.refunds.list().data


def test_money_actions_are_unavailable_without_a_customer(acme, staff, stripe_world):
    for name in PERMISSIONS:
        reason = "The organization has no paid invoices." if name == "refund" else "The organization has no Stripe customer."
        assert errors(staff.open(acme, name))[0] == reason, name


def test_money_actions_are_unavailable_without_stripe(acme, staff):
    for name in PERMISSIONS:
        assert errors(staff.open(acme, name))[0] == "Payments are not set up on this server.", name


def test_free_days_postpone_the_next_payment(payer, acme, staff):
    payer.buy()
    paid_until = payer.state.current_period_end
    page = staff.preview(acme, "free-days", days="30")
    [(before, after)] = rows(page).values()
    assert before != after and paid_until.strftime("%Y") in before
    text = staff.act(acme, "free-days", days="30")
    assert text.startswith("The next payment is due on ")
    assert payer.state.trial_end == paid_until + timedelta(days=30)
    assert (payer.state.status, payer.plan) == ("trialing", "pro")
    settle(payer)
    event = staff.only_event("billing.free_days")
    assert (event.target, event.before["status"], event.after["days"]) == (payer.state.stripe_subscription_id, "active", 30)
    payer.later(32)
    assert Invoice.objects.filter(amount_paid__gt=0).count() == 1
    payer.later(30)
    assert (Invoice.objects.filter(amount_paid__gt=0).count(), payer.state.status) == (2, "active")


def test_a_trial_is_extended_at_stripe(payer, acme, staff):
    payer.buy(trial_period_days=14)
    ends = payer.state.trial_end
    assert "Trial ends" in rows(staff.preview(acme, "free-days", days="7"))
    staff.act(acme, "free-days", days="7")
    assert at_stripe(payer).trial_end == int((ends + timedelta(days=7)).timestamp())
    payer.later(15)
    assert payer.state.status == "trialing"


def test_free_days_are_refused_while_a_payment_is_missing(payer, acme, staff):
    payer.buy()
    payer.declines()
    payer.later(32)
    assert "no payment is outstanding" in errors(staff.preview(acme, "free-days", days="7"))[1]


def test_free_days_are_limited(payer, acme, staff):
    payer.buy()
    for days in ("0", "-1", "366", "x", ""):
        assert errors(staff.preview(acme, "free-days", days=days))[2]["days"], days


def test_a_month_is_given_to_a_payer_by_a_discount(payer, acme, staff):
    payer.buy()
    page = staff.preview(acme, "discount", percent="100", duration="once")
    assert rows(page)["Discounts"] == ("none", "100% off the next invoice")
    assert rows(page)["Price of the plan on the next invoice, before tax and credit"] == ("$9.00", "$0.00")
    assert staff.act(acme, "discount", percent="100", duration="once") == "The discount was added: 100% off the next invoice."
    assert [each["percent_off"] for each in payer.state.discounts] == [100]
    settle(payer)
    event = staff.only_event("billing.discount")
    assert (event.before, event.after["percent_off"]) == ({"discounts": []}, 100)
    payer.later(31.5)
    assert (invoice().total, payer.state.discounts) == (0, [])
    payer.later(31)
    assert invoice().total == 900


def test_discounts_are_added_to_those_that_exist_and_removed(payer, acme, staff):
    payer.world.sdk.coupons.create({"id": "LOYAL", "percent_off": 10, "duration": "forever"})
    payer.buy()
    staff.act(acme, "discount", coupon="LOYAL", duration="once")
    staff.act(acme, "discount", amount="2.50", duration="repeating", months="3")
    assert [(each["percent_off"], each["amount_off"]) for each in payer.state.discounts] == [(10, None), (None, 250)]
    payer.later(31.5)
    assert invoice().total == 900 - 90 - 250
    assert rows(staff.preview(acme, "end-discounts"))["Discounts"][0].startswith("LOYAL, ")
    assert staff.act(acme, "end-discounts") == "The discounts were removed."
    assert payer.state.discounts == []
    assert [event.action for event in staff.events()] == ["billing.discount", "billing.discount", "billing.end_discounts"]
    assert errors(staff.open(acme, "end-discounts"))[0] == "The subscription has no discount."


DISCOUNTS = [
    ({"duration": "once"}, "percent"),
    ({"percent": "10", "amount": "1", "duration": "once"}, "percent"),
    ({"percent": "101", "duration": "once"}, "percent"),
    ({"amount": "1.001", "duration": "once"}, "amount"),
    ({"percent": "10", "duration": "repeating"}, "months"),
    ({"percent": "10", "duration": "once", "months": "2"}, "months"),
]


def test_the_terms_of_a_discount_are_checked(payer, acme, staff):
    payer.buy()
    for values, field in DISCOUNTS:
        assert field in errors(staff.preview(acme, "discount", **values))[2], values


def test_an_unknown_coupon_is_shown_and_nothing_changes(payer, acme, staff):
    payer.buy()
    form = staff.confirmation(acme, "discount", coupon="NOPE", duration="once")
    page = staff.confirm(acme, "discount", form)
    assert page.status_code == 200 and "does not exist" in str(errors(page))
    assert not staff.events() and payer.state.discounts == []


def test_credit_pays_the_next_invoices(payer, acme, staff):
    payer.buy()
    assert rows(staff.preview(acme, "credit", direction="add", amount="12"))["Credit"] == ("$0.00", "$12.00")
    assert staff.act(acme, "credit", direction="add", amount="12") == "The customer's credit is now $12.00."
    event = staff.only_event("billing.credit")
    assert (event.before["credit"], event.after["credit"], event.after["added"]) == (0, 1200, 1200)
    payer.world.deliver()
    payer.later(31.5)
    assert (invoice().total, invoice().amount_due) == (900, 0)
    assert "$3.00 of credit" in errors(staff.preview(acme, "credit", direction="remove", amount="3.01"))[1]
    assert staff.act(acme, "credit", direction="remove", amount="3.00") == "The customer's credit is now $0.00."


def test_equal_credits_are_given_as_often_as_confirmed(payer, acme, staff):
    payer.buy()
    form = staff.confirmation(acme, "credit", direction="add", amount="5")
    for _ in range(2):
        assert message(staff.confirm(acme, "credit", form)) == "The customer's credit is now $5.00."
    assert staff.act(acme, "credit", direction="add", amount="5") == "The customer's credit is now $10.00."
    assert payer.world.sdk.customers.retrieve(payer.customer).balance == -1000
    assert len(staff.events()) == 2


def test_half_of_a_payment_is_refunded_and_then_the_rest(payer, acme, staff):
    payer.buy()
    chosen = {"invoice": invoice().stripe_invoice_id, "cause": "requested_by_customer"}
    page = staff.preview(acme, "refund", amount="4.50", **chosen)
    assert rows(page)["Refunded"] == ("$0.00", "$4.50")
    assert rows(page)["Paid back to the customer"][1] == "$4.50"
    assert staff.act(acme, "refund", amount="4.50", **chosen) == f"$4.50 of invoice {invoice()} was refunded."
    assert (invoice().amount_refunded, Adjustment.objects.get().amount) == (450, 450)
    settle(payer)
    event = staff.only_event("billing.refund")
    assert (event.target, event.before["refunded"], event.after["refunded"]) == (Adjustment.objects.get().stripe_id, 0, 450)
    assert "At most $4.50" in errors(staff.preview(acme, "refund", amount="4.51", **chosen))[1]
    assert "was refunded" in staff.act(acme, "refund", **chosen)
    assert (invoice().amount_refunded, payer.state.status) == (900, "active")
    assert "already fully refunded" in errors(staff.preview(acme, "refund", **chosen))[1]


def test_the_page_of_a_refund_opens_with_the_invoice_of_its_link(payer, acme, staff):
    payer.buy()
    page = staff.open(acme, "refund", invoice=invoice().stripe_invoice_id)
    assert page.context["form"]["invoice"].value() == invoice().stripe_invoice_id


@override_settings(BILLING_REFUND_POLICY="cancel")
def test_the_preview_says_that_a_full_refund_ends_the_subscription(payer, acme, staff):
    payer.buy()
    chosen = {"invoice": invoice().stripe_invoice_id, "cause": "duplicate"}
    assert "ends the subscription" in staff.preview(acme, "refund", **chosen).context["preview"].warnings[0]
    assert "subscription continues" in staff.preview(acme, "refund", amount="1", **chosen).context["preview"].warnings[0]
    staff.act(acme, "refund", **chosen)
    work()
    assert payer.state.status == "canceled"


def test_an_invoice_of_another_organization_cannot_be_refunded(payer, acme, staff, stranger):
    payer.buy()
    page = staff.preview(stranger.organization, "refund", invoice=invoice().stripe_invoice_id, cause="duplicate")
    assert errors(page)[0] == "The organization has no paid invoices."


@pytest.fixture
def lose_response(monkeypatch):
    """`lose_response(module, name)`: Stripe executes the next call, but its response is lost. Returns the idempotency keys used since."""

    def lost(module, name):
        real, keys = getattr(module, name), []

        def call(*args, key, **params):
            result = real(*args, key=key, **params)
            keys.append(str(key))
            if len(keys) == 1:
                raise StripeUnavailable
            return result

        monkeypatch.setattr(module, name, call)
        return keys

    return lost


@pytest.mark.parametrize("synced", [False, True])
def test_a_refund_whose_response_was_lost_is_made_once(payer, acme, staff, lose_response, synced):
    payer.buy()
    form = staff.confirmation(acme, "refund", invoice=invoice().stripe_invoice_id, cause="duplicate")
    keys = lose_response(gateway_invoices, "refund")
    page = staff.confirm(acme, "refund", form)
    assert "You can safely confirm again" in str(errors(page))
    assert page.context["submission"] == UUID(form["submission"][0])
    assert not staff.events()
    if synced:
        payer.world.deliver()
        assert invoice().amount_refunded == 900
    assert message(staff.confirm(acme, "refund", form)) == f"$9.00 of invoice {invoice()} was refunded."
    assert keys == [form["submission"][0]] * 2
    assert [each.amount for each in refunds_at_stripe(payer)] == [900]
    staff.only_event("billing.refund")


def test_credit_whose_response_was_lost_is_given_once(payer, acme, staff, lose_response):
    payer.buy()
    form = staff.confirmation(acme, "credit", direction="add", amount="5")
    lose_response(customers, "add_balance")
    assert "You can safely confirm again" in str(errors(staff.confirm(acme, "credit", form)))
    assert message(staff.confirm(acme, "credit", form)) == "The customer's credit is now $5.00."
    assert (staff.only_event("billing.credit").before["credit"], staff.events()[0].after["credit"]) == (0, 500)


def test_a_request_that_was_replaced_is_not_repeated(payer, acme, staff, lose_response):
    payer.buy()
    form = staff.confirmation(acme, "credit", direction="add", amount="5")
    lose_response(customers, "add_balance")
    staff.confirm(acme, "credit", form)
    staff.act(acme, "cancel", when="period_end")
    page = staff.confirm(acme, "credit", form)
    assert "was replaced by a newer one" in errors(page)[1]
    assert payer.world.sdk.customers.retrieve(payer.customer).balance == -500


def test_an_outage_of_stripe_is_shown(payer, acme, staff):
    payer.buy()
    payer.world.control("down", on=True)
    page = staff.preview(acme, "credit", direction="add", amount="5")
    payer.world.control("down", on=False)
    assert "is not responding" in errors(page)[1]
    assert not BillingAction.objects.filter(kind="credit").exists()


def test_collection_is_paused_and_resumed(payer, acme, staff):
    payer.buy()
    until = (payer.state.current_period_end + timedelta(days=40)).date().isoformat()
    assert rows(staff.preview(acme, "pause", behavior="void", until=until))["Collection of payments"] == ("active", "paused")
    staff.act(acme, "pause", behavior="void", until=until)
    assert (payer.state.collection_paused, payer.state.collection_resumes_at.hour, payer.plan) == ("void", 0, "pro")
    event = staff.only_event("billing.pause_collection")
    assert (event.before["collection_paused"], event.after["collection_paused"]) == ("", "void")
    payer.later(32)
    assert invoice().status == "void"
    assert staff.act(acme, "resume") == "Payments are collected again."
    assert payer.state.collection_paused == ""
    settle(payer)
    payer.later(31)
    assert invoice().status == "paid"
    assert errors(staff.open(acme, "resume"))[0] == "Payment collection is not paused."


def test_a_subscription_is_canceled_at_the_period_end_and_kept(payer, acme, staff, staff_with):
    payer.buy()
    ends = payer.state.current_period_end
    assert rows(staff.preview(acme, "cancel", when="period_end"))["The subscription ends"][0] == "no end"
    staff.act(acme, "cancel", when="period_end")
    assert payer.state.cancel_at == ends
    event = staff.only_event("billing.cancel")
    assert (event.before["cancel_at"], event.after["at_once"]) == (None, False)
    assert "already scheduled" in errors(staff.preview(acme, "cancel", when="period_end"))[1]
    other = staff_with("billing.cancel_subscription")
    assert other.act(acme, "uncancel") == "The subscription continues."
    assert payer.state.cancel_at is None
    assert other.only_event("billing.resume").before["cancel_at"] == ends.isoformat()
    assert errors(other.open(acme, "uncancel"))[0] == "No cancellation is scheduled."


def test_a_subscription_is_canceled_immediately(payer, acme, staff):
    payer.buy()
    assert "Nothing is refunded" in staff.preview(acme, "cancel", when="now").context["preview"].warnings[0]
    assert staff.act(acme, "cancel", when="now") == "The subscription was canceled."
    assert (payer.state.status, payer.plan) == ("canceled", "free")
    staff.only_event("billing.cancel")
    assert errors(staff.open(acme, "cancel"))[0] == "The organization has no subscription."


def test_only_system_events_follow_an_action(payer, acme, staff):
    payer.buy()
    recorded = AuditEvent.objects.count()
    staff.act(acme, "cancel", when="now")
    caused = AuditEvent.objects.order_by("pk")[recorded:]
    assert [event.action for event in caused if event.actor_user] == ["billing.cancel"]
    assert {event.action for event in caused if not event.actor_user} <= {"grant.ended", "grant.changed"}
