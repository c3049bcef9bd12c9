"""The hosted invoice page, its PDF, and receipts."""

from contextmcp.local.stripe import cards, collecting, money, payments
from contextmcp.local.stripe.errors import Refusal
from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.pages.html import e, error, gone, html, layout, redirect, submitted
from contextmcp.local.stripe.proration import day
from contextmcp.local.stripe.simulator import Answer, Request, Simulator
from contextmcp.local.stripe.unit import Unit


def respond(sim: Simulator, request: Request, steps: list[str]) -> Answer:
    message: str | None = None
    if request.method == "POST":
        try:
            with sim.unit() as unit:
                answer = _pay(unit, unit.need("invoice", steps[0]), submitted(request))
            if answer is not None:
                return answer
        except Refusal as refusal:
            message = refusal.message
    with sim.unit() as unit:
        invoice = unit.get(steps[0])
        if invoice is None or invoice["object"] != "invoice" or not invoice.get("number"):
            return gone("There is no such invoice.")
        if steps[1:] == ["pdf"]:
            name = f'attachment; filename="Invoice-{invoice["number"]}.pdf"'
            return Answer(200, _pdf(_text(invoice)), {"Content-Type": "application/pdf", "Content-Disposition": name})
        return html(_page(invoice, message), 402 if message else 200)
    raise AssertionError("a unit of work ends by answering")


def _pay(unit: Unit, invoice: Obj, given: dict[str, str]) -> Answer | None:
    card = cards.of_number(given.get("cardNumber", ""))
    method = payments.new_method(unit, card)
    payments.attach(unit, method, unit.need("customer", invoice["customer"]))
    if collecting.collect(unit, invoice, method=method) == "requires_action":
        intent = unit.need("payment_intent", invoice["_intent"])
        intent["_return_url"] = invoice["hosted_invoice_url"]
        unit.save(intent)
        return redirect(f"/3ds/{intent['id']}")
    if invoice["status"] != "paid":
        raise collecting.refuse_payment(unit, invoice, keep=True)
    return None


def _text(invoice: Obj) -> list[str]:
    lines = [f"Invoice {invoice['number']}", f"Date {day(invoice['created'])}", f"Bill to {invoice['customer_email'] or ''}", ""]
    lines += [f"{line['description']}   {money.spoken(line['amount'], invoice['currency'])}" for line in invoice["_lines"]]
    lines += ["", f"Total {money.spoken(invoice['total'], invoice['currency'])}"]
    lines += [f"Amount due {money.spoken(invoice['amount_due'], invoice['currency'])}", f"Status {invoice['status']}"]
    return lines


def _page(invoice: Obj, message: str | None) -> str:
    currency = invoice["currency"]
    rows = "".join(
        f'<tr><td>{e(line["description"])}</td><td class="amount">{e(money.spoken(line["amount"], currency))}</td></tr>'
        for line in invoice["_lines"]
    )
    form = (
        '<form method="post"><label for="cardNumber">Card number</label><input id="cardNumber" name="cardNumber" required>'
        '<button type="submit">Pay invoice</button></form>'
        if invoice["status"] == "open"
        else ""
    )
    return layout(
        f"Invoice {invoice['number']}",
        f"<section><h1>Invoice {e(invoice['number'])}</h1>{error(message)}<p>Status: <strong>{e(invoice['status'])}</strong></p>"
        f'<p class="big">{e(money.spoken(invoice["amount_due"], currency))}</p><table>{rows}'
        f'<tr><th>Total</th><td class="amount">{e(money.spoken(invoice["total"], currency))}</td></tr></table>'
        f'<p><a href="{e(invoice["invoice_pdf"])}">Download the PDF</a></p>{form}</section>',
        one=True,
    )


def receipt(sim: Simulator, request: Request, steps: list[str]) -> Answer:
    with sim.unit() as unit:
        charge = unit.get(steps[0])
        if charge is None or charge["object"] != "charge":
            return gone("There is no such receipt.")
        amount = money.spoken(charge["amount"], charge["currency"])
        return html(layout("Receipt", f"<section><h1>Receipt</h1><p>{e(amount)} paid on {day(charge['created'])}.</p></section>", one=True))
    raise AssertionError("a unit of work ends by answering")


def _pdf(lines: list[str]) -> bytes:
    """One page of text: a small but whole PDF."""
    escaped = [line.encode("latin-1", "replace").decode("latin-1").translate({40: r"\(", 41: r"\)", 92: r"\\"}) for line in lines]
    text = "BT /F1 11 Tf 50 780 Td 16 TL " + " ".join(f"({line}) Tj T*" for line in escaped) + " ET"
    stream = text.encode("latin-1")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(out)
    return out + b"xref\n0 6\n0000000000 65535 f \n" + table + tail
