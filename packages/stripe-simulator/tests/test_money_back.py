"""Coupons, credit, refunds, credit notes, disputes and manual invoices."""

import pytest
import requests
import stripe
from simulator_fixtures import START, StripeApi, amounts
from stripe_simulator.testing import Running


@pytest.mark.parametrize(
    ("duration", "totals"),
    [
        ({"duration": "once"}, [750, 1000, 1000]),
        ({"duration": "forever"}, [750] * 3),
        ({"duration": "repeating", "duration_in_months": 2}, [750, 750, 1000]),
    ],
)
def test_a_coupon_applies_for_its_duration(stripe_api: StripeApi, duration: dict[str, object], totals: list[int]) -> None:
    coupon = stripe_api.v1.coupons.create({"percent_off": 25, **duration})
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id, discounts=[{"coupon": coupon.id}])
    observed = [stripe_api.latest(subscription.id).total] + [stripe_api.renew(customer, subscription.id).total for _ in range(2)]
    assert observed == totals


def test_an_amount_off_never_exceeds_the_invoice(stripe_api: StripeApi) -> None:
    coupon = stripe_api.v1.coupons.create({"amount_off": 5000, "currency": "usd", "duration": "once"})
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id, discounts=[{"coupon": coupon.id}])
    invoice = stripe_api.latest(subscription.id)
    assert (invoice.total, invoice.status, invoice.to_dict()["total_discount_amounts"][0]["amount"]) == (0, "paid", 1000)


def test_the_balance_is_used_before_the_card(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer(balance=-300)
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id)
    invoice = stripe_api.latest(subscription.id)
    assert (invoice.starting_balance, invoice.ending_balance, invoice.amount_paid) == (-300, 0, 700)
    entries = stripe_api.v1.customers.balance_transactions.list(customer.id).data
    assert [(entry.type, entry.amount) for entry in entries] == [("applied_to_invoice", 300), ("adjustment", -300)]


def test_a_charge_can_be_refunded_in_parts(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    stripe_api.subscribe(customer, stripe_api.price(1000).id)
    charge = stripe_api.v1.charges.list({"customer": customer.id}).data[0]
    mark = len(stripe_api.event_types())
    stripe_api.v1.refunds.create({"charge": charge.id, "amount": 400})
    assert stripe_api.event_types()[mark:] == ["refund.created", "charge.refunded", "refund.updated", "charge.refund.updated"]
    stripe_api.v1.refunds.create({"payment_intent": str(charge.payment_intent)})
    charge = stripe_api.v1.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded, [refund.amount for refund in charge.refunds.data]) == (1000, True, [600, 400])
    with pytest.raises(stripe.InvalidRequestError) as over:
        stripe_api.v1.refunds.create({"charge": charge.id})
    assert over.value.code == "charge_already_refunded"


def test_a_credit_note_on_a_paid_invoice_refunds_or_credits(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id)
    invoice = stripe_api.latest(subscription.id)
    note = stripe_api.v1.credit_notes.create({"invoice": invoice.id, "amount": 600, "refund_amount": 400, "credit_amount": 200})
    assert (note.type, note.post_payment_amount, note.number) == ("post_payment", 600, f"{invoice.number}-CN-01")
    assert stripe_api.v1.customers.retrieve(customer.id).balance == -200
    assert stripe_api.v1.refunds.list().data[0].amount == 400
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.v1.credit_notes.create({"invoice": invoice.id, "amount": 600, "refund_amount": 600})


def test_a_credit_note_on_an_open_invoice_reduces_it(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    invoice = stripe_api.renew(customer, subscription.id)
    note = stripe_api.v1.credit_notes.create({"invoice": invoice.id, "amount": 400})
    assert stripe_api.v1.invoices.retrieve(invoice.id).amount_remaining == 600
    stripe_api.v1.credit_notes.void_credit_note(note.id)
    assert stripe_api.v1.invoices.retrieve(invoice.id).amount_remaining == 1000
    stripe_api.v1.credit_notes.create(
        {"invoice": invoice.id, "lines": [{"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "amount": 1000}]}
    )
    assert stripe_api.v1.invoices.retrieve(invoice.id).status == "paid"
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "active"


@pytest.mark.parametrize(
    ("evidence", "status", "last"), [("winning_evidence", "won", "charge.dispute.closed"), (None, "lost", "charge.dispute.closed")]
)
def test_a_dispute_is_opened_and_closed(simulator: Running, stripe_api: StripeApi, evidence: str | None, status: str, last: str) -> None:
    customer = stripe_api.customer()
    stripe_api.subscribe(customer, stripe_api.price(1000).id)
    charge = stripe_api.v1.charges.list({"customer": customer.id}).data[0]
    opened = requests.post(f"{simulator.base_url}/_sim/disputes", json={"charge": charge.id, "reason": "fraudulent"}, timeout=5).json()
    assert stripe_api.v1.charges.retrieve(charge.id).disputed is True
    assert stripe_api.event_types("charge.dispute") == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    if evidence:
        closed = stripe_api.v1.disputes.update(opened["id"], {"evidence": {"uncategorized_text": evidence}})
    else:
        closed = stripe_api.v1.disputes.close(opened["id"])
    assert (closed.status, stripe_api.event_types("charge.dispute")[-1]) == (status, last)


def test_invoices_can_be_created_manually(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    stripe_api.v1.invoice_items.create({"customer": customer.id, "amount": 1500, "currency": "usd", "description": "Training"})
    invoice = stripe_api.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include", "auto_advance": False})
    stripe_api.v1.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 500, "currency": "usd"})
    assert stripe_api.v1.invoices.retrieve(invoice.id).amount_due == 2000
    final = stripe_api.v1.invoices.finalize_invoice(invoice.id)
    assert (final.status, final.number is not None) == ("open", True)
    paid = stripe_api.v1.invoices.pay(invoice.id, {"expand": ["payments"]})
    assert (paid.status, amounts(paid), paid.payments.data[0].status) == ("paid", [1500, 500], "paid")
    lines = stripe_api.v1.invoices.line_items.list(invoice.id, {"limit": 1})
    assert (len(lines.data), lines.has_more) == (1, True)


def test_an_invoice_can_be_voided_or_marked_uncollectible(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer("pm_card_chargeCustomerFail")
    created = []
    for _ in range(2):
        invoice = stripe_api.v1.invoices.create({"customer": customer.id})
        stripe_api.v1.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 900, "currency": "usd"})
        created.append(stripe_api.v1.invoices.finalize_invoice(invoice.id).id)
    assert stripe_api.v1.invoices.void_invoice(created[0]).status == "void"
    assert stripe_api.v1.invoices.mark_uncollectible(created[1]).status == "uncollectible"
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.v1.invoices.void_invoice(created[0])


def test_the_hosted_invoice_and_its_pdf_are_served(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer("pm_card_chargeCustomerFail")
    invoice = stripe_api.v1.invoices.create({"customer": customer.id})
    stripe_api.v1.invoice_items.create(
        {"customer": customer.id, "invoice": invoice.id, "amount": 900, "currency": "usd", "description": "Work"}
    )
    final = stripe_api.v1.invoices.finalize_invoice(invoice.id)
    page = requests.get(final.hosted_invoice_url, timeout=5)
    assert (page.status_code, "Work" in page.text, "$9.00" in page.text) == (200, True, True)
    pdf = requests.get(final.invoice_pdf, timeout=5)
    assert (pdf.headers["Content-Type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert requests.post(final.hosted_invoice_url, data={"cardNumber": "4000000000000002"}, timeout=5).status_code == 402
    requests.post(final.hosted_invoice_url, data={"cardNumber": "4242424242424242"}, timeout=5)
    assert stripe_api.v1.invoices.retrieve(final.id).status == "paid"


@pytest.mark.parametrize(
    ("token", "code", "decline"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ],
)
def test_cards_refused_when_attached(stripe_api: StripeApi, token: str, code: str, decline: str | None) -> None:
    customer = stripe_api.customer(None)
    with pytest.raises(stripe.CardError) as error:
        stripe_api.card(customer.id, token)
    assert (error.value.code, error.value.json_body["error"].get("decline_code")) == (code, decline)
    assert START


def test_promotion_codes_keep_their_restrictions(stripe_api: StripeApi) -> None:
    coupon = stripe_api.v1.coupons.create({"percent_off": 10, "duration": "once"})
    only_first = {"first_time_transaction": True}
    code = stripe_api.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FIRST", "restrictions": only_first}
    )
    customer = stripe_api.customer()
    price = stripe_api.price(1000).id
    first = stripe_api.subscribe(customer, price, discounts=[{"promotion_code": code.id}])
    assert stripe_api.latest(first.id).total == 900
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_api.subscribe(customer, price, discounts=[{"promotion_code": code.id}])
    assert error.value.code == "promotion_code_customer_not_first_time"
    stripe_api.v1.promotion_codes.update(code.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.subscribe(stripe_api.customer(), price, discounts=[{"promotion_code": code.id}])


def test_a_dispute_card_opens_a_dispute(simulator: Running, stripe_api: StripeApi) -> None:
    customer = stripe_api.customer("pm_card_createDispute")
    stripe_api.subscribe(customer, stripe_api.price(1000).id)
    stripe_api.advance(customer, START + 60)
    assert stripe_api.v1.disputes.list().data[0].status == "needs_response"
