"""Coupons, credit, refunds, credit notes, disputes and manual invoices."""

import pytest
import requests
import stripe
from simulator_fixtures import START, Shop, amounts
from stripe_simulator.testing import Running


@pytest.mark.parametrize(
    ("duration", "totals"),
    [
        ({"duration": "once"}, [750, 1000, 1000]),
        ({"duration": "forever"}, [750] * 3),
        ({"duration": "repeating", "duration_in_months": 2}, [750, 750, 1000]),
    ],
)
def test_a_coupon_applies_for_its_duration(shop: Shop, duration: dict[str, object], totals: list[int]) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 25, **duration})  # type: ignore[typeddict-item]
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(1000).id, discounts=[{"coupon": coupon.id}])
    seen = [shop.latest(subscription.id).total] + [shop.renew(customer, subscription.id).total for _ in range(2)]
    assert seen == totals


def test_an_amount_off_never_exceeds_the_invoice(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"amount_off": 5000, "currency": "usd", "duration": "once"})
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(1000).id, discounts=[{"coupon": coupon.id}])
    invoice = shop.latest(subscription.id)
    assert (invoice.total, invoice.status, invoice.to_dict()["total_discount_amounts"][0]["amount"]) == (0, "paid", 1000)


def test_the_balance_is_used_before_the_card(shop: Shop) -> None:
    customer = shop.customer(balance=-300)
    subscription = shop.subscribe(customer, shop.price(1000).id)
    invoice = shop.latest(subscription.id)
    assert (invoice.starting_balance, invoice.ending_balance, invoice.amount_paid) == (-300, 0, 700)
    entries = shop.v1.customers.balance_transactions.list(customer.id).data
    assert [(entry.type, entry.amount) for entry in entries] == [("applied_to_invoice", 300), ("adjustment", -300)]


def test_a_charge_can_be_refunded_in_parts(shop: Shop) -> None:
    customer = shop.customer()
    shop.subscribe(customer, shop.price(1000).id)
    charge = shop.v1.charges.list({"customer": customer.id}).data[0]
    mark = len(shop.event_types())
    shop.v1.refunds.create({"charge": charge.id, "amount": 400})
    assert shop.event_types()[mark:] == ["refund.created", "charge.refunded", "refund.updated", "charge.refund.updated"]
    shop.v1.refunds.create({"payment_intent": str(charge.payment_intent)})
    charge = shop.v1.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded, [refund.amount for refund in charge.refunds.data]) == (1000, True, [600, 400])
    with pytest.raises(stripe.InvalidRequestError) as over:
        shop.v1.refunds.create({"charge": charge.id})
    assert over.value.code == "charge_already_refunded"


def test_a_credit_note_on_a_paid_invoice_refunds_or_credits(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(1000).id)
    invoice = shop.latest(subscription.id)
    note = shop.v1.credit_notes.create({"invoice": invoice.id, "amount": 600, "refund_amount": 400, "credit_amount": 200})
    assert (note.type, note.post_payment_amount, note.number) == ("post_payment", 600, f"{invoice.number}-CN-01")
    assert shop.v1.customers.retrieve(customer.id).balance == -200
    assert shop.v1.refunds.list().data[0].amount == 400
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.credit_notes.create({"invoice": invoice.id, "amount": 600, "refund_amount": 600})


def test_a_credit_note_on_an_open_invoice_reduces_it(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(1000).id)
    shop.card(customer.id, "pm_card_chargeCustomerFail")
    invoice = shop.renew(customer, subscription.id)
    note = shop.v1.credit_notes.create({"invoice": invoice.id, "amount": 400})
    assert shop.v1.invoices.retrieve(invoice.id).amount_remaining == 600
    shop.v1.credit_notes.void_credit_note(note.id)
    assert shop.v1.invoices.retrieve(invoice.id).amount_remaining == 1000
    shop.v1.credit_notes.create(
        {"invoice": invoice.id, "lines": [{"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "amount": 1000}]}
    )
    assert shop.v1.invoices.retrieve(invoice.id).status == "paid"
    assert shop.v1.subscriptions.retrieve(subscription.id).status == "active"


@pytest.mark.parametrize(
    ("evidence", "status", "last"), [("winning_evidence", "won", "charge.dispute.closed"), (None, "lost", "charge.dispute.closed")]
)
def test_a_dispute_is_opened_and_closed(simulator: Running, shop: Shop, evidence: str | None, status: str, last: str) -> None:
    customer = shop.customer()
    shop.subscribe(customer, shop.price(1000).id)
    charge = shop.v1.charges.list({"customer": customer.id}).data[0]
    opened = requests.post(f"{simulator.base_url}/_sim/disputes", json={"charge": charge.id, "reason": "fraudulent"}, timeout=5).json()
    assert shop.v1.charges.retrieve(charge.id).disputed is True
    assert shop.event_types("charge.dispute") == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    if evidence:
        closed = shop.v1.disputes.update(opened["id"], {"evidence": {"uncategorized_text": evidence}})
    else:
        closed = shop.v1.disputes.close(opened["id"])
    assert (closed.status, shop.event_types("charge.dispute")[-1]) == (status, last)


def test_invoices_can_be_created_manually(shop: Shop) -> None:
    customer = shop.customer()
    shop.v1.invoice_items.create({"customer": customer.id, "amount": 1500, "currency": "usd", "description": "Training"})
    invoice = shop.v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include", "auto_advance": False})
    shop.v1.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 500, "currency": "usd"})
    assert shop.v1.invoices.retrieve(invoice.id).amount_due == 2000
    final = shop.v1.invoices.finalize_invoice(invoice.id)
    assert (final.status, final.number is not None) == ("open", True)
    paid = shop.v1.invoices.pay(invoice.id, {"expand": ["payments"]})
    assert (paid.status, amounts(paid), paid.payments.data[0].status) == ("paid", [1500, 500], "paid")
    lines = shop.v1.invoices.line_items.list(invoice.id, {"limit": 1})
    assert (len(lines.data), lines.has_more) == (1, True)


def test_an_invoice_can_be_voided_or_marked_uncollectible(shop: Shop) -> None:
    customer = shop.customer("pm_card_chargeCustomerFail")
    made = []
    for _ in range(2):
        invoice = shop.v1.invoices.create({"customer": customer.id})
        shop.v1.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 900, "currency": "usd"})
        made.append(shop.v1.invoices.finalize_invoice(invoice.id).id)
    assert shop.v1.invoices.void_invoice(made[0]).status == "void"
    assert shop.v1.invoices.mark_uncollectible(made[1]).status == "uncollectible"
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.invoices.void_invoice(made[0])


def test_the_hosted_invoice_and_its_pdf_are_served(shop: Shop) -> None:
    customer = shop.customer("pm_card_chargeCustomerFail")
    invoice = shop.v1.invoices.create({"customer": customer.id})
    shop.v1.invoice_items.create({"customer": customer.id, "invoice": invoice.id, "amount": 900, "currency": "usd", "description": "Work"})
    final = shop.v1.invoices.finalize_invoice(invoice.id)
    page = requests.get(final.hosted_invoice_url, timeout=5)
    assert (page.status_code, "Work" in page.text, "$9.00" in page.text) == (200, True, True)
    pdf = requests.get(final.invoice_pdf, timeout=5)
    assert (pdf.headers["Content-Type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert requests.post(final.hosted_invoice_url, data={"cardNumber": "4000000000000002"}, timeout=5).status_code == 402
    requests.post(final.hosted_invoice_url, data={"cardNumber": "4242424242424242"}, timeout=5)
    assert shop.v1.invoices.retrieve(final.id).status == "paid"


@pytest.mark.parametrize(
    ("token", "code", "decline"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ],
)
def test_cards_refused_when_attached(shop: Shop, token: str, code: str, decline: str | None) -> None:
    customer = shop.customer(None)
    with pytest.raises(stripe.CardError) as refused:
        shop.card(customer.id, token)
    assert (refused.value.code, refused.value.json_body["error"].get("decline_code")) == (code, decline)
    assert START


def test_promotion_codes_keep_their_restrictions(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 10, "duration": "once"})
    only_first = {"first_time_transaction": True}
    code = shop.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FIRST", "restrictions": only_first}
    )
    customer = shop.customer()
    price = shop.price(1000).id
    first = shop.subscribe(customer, price, discounts=[{"promotion_code": code.id}])
    assert shop.latest(first.id).total == 900
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.subscribe(customer, price, discounts=[{"promotion_code": code.id}])
    assert refused.value.code == "promotion_code_customer_not_first_time"
    shop.v1.promotion_codes.update(code.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError):
        shop.subscribe(shop.customer(), price, discounts=[{"promotion_code": code.id}])


def test_a_dispute_card_opens_a_dispute(simulator: Running, shop: Shop) -> None:
    customer = shop.customer("pm_card_createDispute")
    shop.subscribe(customer, shop.price(1000).id)
    shop.advance(customer, START + 60)
    assert shop.v1.disputes.list().data[0].status == "needs_response"
