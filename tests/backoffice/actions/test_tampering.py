"""Staff actions with tampered forms, at the same time, and on one's own membership."""

import threading

import pytest
from django.db import connection

from accounts.models import User
from billing.models import Adjustment, BillingAction, Invoice
from billing.staff_actions import credit
from billing.stripe.gateway import customers
from contextmcp.common.errors import DomainError
from contextmcp.common.ids import uuid7
from tests.factories.accounts import MembershipFactory, OrganizationFactory
from tests.support.staff_actions import REASON, Staff, errors

pytestmark = pytest.mark.django_db


def at_once(*calls):
    """Run the calls in threads of their own. Return their results."""
    results, barrier = [], threading.Barrier(len(calls))

    def run(call):
        try:
            barrier.wait()
            results.append(call())
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_two_removals_at_once_do_not_make_the_customer_owe(payer, acme):
    payer.buy()
    people = [Staff.make("billing.give_credit") for _ in range(2)]
    people[0].act(acme, "credit", direction="add", amount="9")
    forms = [(each, each.confirmation(acme, "credit", direction="remove", amount="9")) for each in people]
    answers = at_once(*(lambda each=each, form=form: each.confirm(acme, "credit", form) for each, form in forms))
    assert sorted(answer.status_code for answer in answers) == [200, 302]
    assert credit.current_credit(acme).amount == 0


@pytest.mark.django_db(transaction=True)
def test_two_refunds_at_once_do_not_refund_more_than_was_previewed(payer, acme):
    payer.buy()
    paid = Invoice.objects.latest("created_at")
    people = [Staff.make("billing.refund_payment") for _ in range(2)]
    values = {"invoice": paid.stripe_invoice_id, "amount": "3", "cause": "duplicate"}
    forms = [(each, each.confirmation(acme, "refund", **values)) for each in people]
    answers = at_once(*(lambda each=each, form=form: each.confirm(acme, "refund", form) for each, form in forms))
    assert sorted(answer.status_code for answer in answers) == [200, 302]
    assert [each.amount for each in Adjustment.objects.filter(kind="refund")] == [300]


@pytest.mark.parametrize("kind", ["credit", "refund"])
@pytest.mark.parametrize("mine", [True, False])
def test_the_submission_of_another_request_is_not_continued(payer, acme, kind, mine):
    """The other action has no response yet. It belongs to another organization, kind or person."""
    payer.buy()
    staff, other = Staff.make("billing.give_credit"), OrganizationFactory()
    parameters = {"customer": payer.account.stripe_customer_id, "amount": 5000, "currency": "usd"}
    creator = staff.user if kind == "refund" or not mine else Staff.make().user
    row = BillingAction.objects.create(
        pk=uuid7(), organization=acme if mine else other, kind=kind, parameters=parameters, created_by=creator
    )
    form = staff.confirmation(acme, "credit", direction="add", amount="9") | {"submission": str(row.pk)}
    answer = staff.confirm(acme, "credit", form)
    assert answer.status_code == 200 and "submit the form again" in errors(answer)[1]
    assert credit.current_credit(acme).amount == 0
    assert not staff.events()


def test_credit_in_another_currency_than_the_form_named_is_refused(payer, acme):
    payer.buy()
    staff = Staff.make("billing.give_credit")
    type(payer.account).objects.update(currency="jpy")
    page = staff.preview(acme, "credit", direction="add", amount="9")
    assert "currency" in str(errors(page)[1]) and "preview" not in page.context
    with pytest.raises(DomainError):
        credit.check_currency(credit.current_credit(acme), "jpy")
    assert not customers.retrieve(payer.account.stripe_customer_id)["balance"]


@pytest.mark.parametrize("name", ["change-role", "transfer-ownership"])
def test_staff_do_not_change_their_own_role(acme, owner, name):
    staff = Staff.make("accounts.change_membership", "accounts.transfer_ownership")
    # Owners of the admin may act on their own organization, but not on their own role.
    User.objects.filter(pk=staff.user.pk).update(is_superuser=True)
    own = MembershipFactory(user=staff.user, organization=acme, role="member")
    values = {"member": str(own.pk), "role": "owner", "present": str(owner.membership.pk)}
    page = staff.confirm(acme, name, staff.confirmation(acme, name, **values))
    assert "your own role" in errors(page)[1]
    own.refresh_from_db()
    assert own.role == "member" and not staff.events()


def test_amounts_that_are_not_positive_or_too_long_are_refused(payer, acme):
    payer.buy()
    staff = Staff.make("billing.give_credit", "billing.refund_payment", "billing.give_discount")
    invoice = Invoice.objects.latest("created_at").stripe_invoice_id
    more = {"direction": "remove", "invoice": invoice, "cause": "duplicate", "duration": "once"}
    for name in ("credit", "refund", "discount"):
        for value in ("-5", "0", "1e20", "0.0001", "NaN", "Infinity"):
            page = staff.preview(acme, name, amount=value, **more)
            assert page.status_code == 200 and "preview" not in page.context, (name, value)


def test_an_invoice_of_another_organization_cannot_be_refunded(payer, acme):
    payer.buy()
    paid, other = Invoice.objects.latest("created_at"), OrganizationFactory()
    staff = Staff.make("billing.refund_payment")
    form = {"invoice": paid.stripe_invoice_id, "cause": "duplicate", "reason": REASON, "confirmed": "1", "submission": str(uuid7())}
    assert staff.preview(other, "refund", **form).status_code == 200
    assert staff.confirm(other, "refund", form).status_code == 200
    assert not Adjustment.objects.exists()
