"""The pages about invoices: lines that sum to the total, the filter, and who sees them."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from billing.models import Invoice
from billing.subscriptions.preview import line
from contextmcp.web.pages.invoices import PER_PAGE, added_tax, invoice_rows
from tests.factories.billing import Payer


@pytest.fixture
def payer(stripe_world, acme) -> Payer:
    return Payer.make(stripe_world, acme)


def make(organization, number=1, *, when=datetime(2027, 3, 3, tzinfo=UTC), status="paid", lines=((900, "Pro"),), **amounts):
    values = {"subtotal": 900, "total": 900, "amount_due": 900, "amount_paid": 900, "amount_remaining": 0} | amounts
    rows = [
        {"description": text, "amount": amount, "quantity": 1, "period_start": None, "period_end": None, "proration": False}
        for amount, text in lines
    ]
    return Invoice.objects.create(
        organization=organization, stripe_invoice_id=f"in_{number}", number=f"A-{number}", status=status, currency="usd", created_at=when,
        lines=rows, pdf_url="https://pay.stripe.example/pdf", hosted_url="https://invoice.stripe.example/i", **values,
    )  # fmt: skip


def test_the_lines_discount_and_tax_sum_to_the_total(payer, owner, sign_in, stripe_world):
    coupon = stripe_world.sdk.coupons.create({"percent_off": 20, "duration": "forever"})
    stripe_world.sdk.customers.update(payer.customer, {"balance": -300})
    payer.buy(discounts=[{"coupon": coupon.id}])
    row = Invoice.objects.get()
    lines = [line(each) for each in row.lines]
    rows = invoice_rows(row, lines)
    assert [(each.title, each.amount) for each in rows] == [("Discount", -180)]
    assert sum(each.amount for each in (*lines, *rows)) == row.total == 720
    page = sign_in(owner).get(reverse("invoice", args=[row.stripe_invoice_id])).text
    for text in (
        f"Invoice {row.number}",
        "Pro",
        "$9.00",
        "-$1.80",
        "$7.20",
        "Credit applied",
        "-$3.00",
        "Amount paid",
        "$4.20",
        "Download PDF",
    ):
        assert text in page, text


@pytest.mark.parametrize(
    ("amounts", "lines", "rows", "included"),
    [
        ({"tax": 171, "total": 1071}, ((900, "Pro"),), [("Tax", 171)], 0),
        ({"tax": 144}, ((900, "Pro"),), [], 144),
        ({"subtotal": 1000, "discount": 100, "tax": 90, "total": 990}, ((1000, "Pro"),), [("Discount", -100), ("Tax", 90)], 0),
        ({}, ((700, "Pro"),), [("Other items (see the PDF)", 200)], 0),
    ],
)
def test_the_rows_of_an_invoice_sum_to_its_total(acme, amounts, lines, rows, included):
    row = make(acme, lines=lines, **amounts)
    result = invoice_rows(row, [line(each) for each in row.lines])
    assert [(each.title, each.amount) for each in result] == rows
    assert sum(amount for amount, _ in lines) + sum(each.amount for each in result) == row.total
    assert row.tax - added_tax(row) == included


def test_invoices_are_filtered_and_paginated(acme, owner, sign_in):
    for number in range(PER_PAGE + 2):
        make(acme, number, when=datetime(2024 + number % 2, 3, 3, 12, number, tzinfo=UTC), status="open" if number == 4 else "paid")
    make(acme, 99, status="draft", when=datetime(2020, 1, 1, tzinfo=UTC))
    client = sign_in(owner)
    first = client.get(reverse("invoices"))
    assert len(first.context["page"].object_list) == PER_PAGE and "Page 1 of 2" in first.text and ">Pay<" in first.text
    older = client.get(reverse("invoices"), {"page": 2})
    assert len(older.context["page"].object_list) == 2 and "page=1" in older.text
    assert client.get(reverse("invoices"), {"page": "x"}).status_code == 200
    unpaid = client.get(reverse("invoices"), {"status": "open"}).context["page"].object_list
    assert [each.number for each in unpaid] == ["A-4"]
    of_year = client.get(reverse("invoices"), {"year": 2025, "status": ""}).context["page"].object_list
    assert len(of_year) == PER_PAGE // 2 + 1 and {each.created_at.year for each in of_year} == {2025}
    assert "No matching invoices." in client.get(reverse("invoices"), {"year": 2024, "status": "void"}).text
    for wrong in ({"year": "1999"}, {"status": "x"}):
        assert client.get(reverse("invoices"), wrong).context["page"].paginator.count == PER_PAGE + 2


def test_who_sees_invoices(acme, people, sign_in):
    row = make(acme)
    pages = [reverse("invoices"), reverse("invoice", args=[row.stripe_invoice_id])]
    for who, status in (("owner", 200), ("admin", 200), ("member", 403), ("viewer", 403)):
        assert [sign_in(people[who]).get(page).status_code for page in pages] == [status, status]
    stranger = sign_in(people["stranger"])
    assert "A-1" not in stranger.get(pages[0]).text and stranger.get(pages[1]).status_code == 404
    assert sign_in().get(pages[1]).url == f"/accounts/login/?next={pages[1]}"


def test_a_draft_and_a_refund(acme, owner, sign_in):
    client = sign_in(owner)
    assert "No invoices yet." in client.get(reverse("invoices")).text
    draft = make(acme, 1, status="draft")
    assert client.get(reverse("invoice", args=[draft.stripe_invoice_id])).status_code == 404
    refunded = make(acme, 2, amount_refunded=900)
    assert "Refunded" in client.get(reverse("invoice", args=[refunded.stripe_invoice_id])).text
    make(acme, 3, amount_refunded=100)
    assert "Partially refunded" in client.get(reverse("billing")).text
