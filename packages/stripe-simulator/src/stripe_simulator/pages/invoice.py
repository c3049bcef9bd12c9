"""The hosted invoice page, its PDF, and receipts."""

from stripe_simulator import cards, invoice_collection, money, payments
from stripe_simulator.errors import Refusal
from stripe_simulator.pages.html import error, esc, form_data, html, layout, not_found, redirect
from stripe_simulator.proration import format_date
from stripe_simulator.simulator import Request, Response, Simulator
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit


def respond(sim: Simulator, request: Request, steps: list[str]) -> Response:
    message: str | None = None
    if request.method == "POST":
        try:
            with sim.unit() as unit:
                answer = _pay(unit, unit.require("invoice", steps[0]), form_data(request))
            if answer is not None:
                return answer
        except Refusal as refusal:
            message = refusal.message
    with sim.unit() as unit:
        invoice = unit.get(steps[0])
        if invoice is None or invoice["object"] != "invoice" or not invoice.get("number"):
            return not_found("There is no such invoice.")
        if steps[1:] == ["pdf"]:
            name = f'attachment; filename="Invoice-{invoice["number"]}.pdf"'
            return Response(200, _pdf(_text(invoice)), {"Content-Type": "application/pdf", "Content-Disposition": name})
        return html(_page(unit, invoice, message), 402 if message else 200)
    raise AssertionError("unreachable: the unit of work returns or raises")


def _pay(unit: Unit, invoice: Obj, data: dict[str, str]) -> Response | None:
    card = cards.of_number(data.get("cardNumber", ""))
    method = payments.new_method(unit, card)
    payments.attach(unit, method, unit.require("customer", invoice["customer"]))
    if invoice_collection.collect(unit, invoice, method=method) == "requires_action":
        intent = unit.require("payment_intent", invoice["_intent"])
        intent["_return_url"] = invoice["hosted_invoice_url"]
        unit.save(intent)
        return redirect(f"/3ds/{intent['id']}")
    if invoice["status"] != "paid":
        raise invoice_collection.payment_error(unit, invoice, keep=True)
    return None


def _text(invoice: Obj) -> list[str]:
    lines = [f"Invoice {invoice['number']}", f"Date {format_date(invoice['created'])}", f"Bill to {invoice['customer_email'] or ''}", ""]
    lines += [f"{line['description']}   {money.format_amount(line['amount'], invoice['currency'])}" for line in invoice["_lines"]]
    lines += ["", f"Total {money.format_amount(invoice['total'], invoice['currency'])}"]
    lines += [f"Amount due {money.format_amount(invoice['amount_due'], invoice['currency'])}", f"Status {invoice['status']}"]
    return lines


def _confirmation(unit: Unit, invoice: Obj) -> str:
    """Return the URL of the authentication page for the pending payment."""
    intent = unit.get(invoice.get("_intent") or "")
    if invoice["status"] != "open" or intent is None or intent["status"] != "requires_action":
        return ""
    intent["_return_url"] = invoice["hosted_invoice_url"]
    unit.save(intent)
    return f'<p><a id="confirm-payment" href="/3ds/{esc(intent["id"])}">Confirm your payment</a></p>'


def _page(unit: Unit, invoice: Obj, message: str | None) -> str:
    currency = invoice["currency"]
    rows = "".join(
        f'<tr><td>{esc(line["description"])}</td><td class="amount">{esc(money.format_amount(line["amount"], currency))}</td></tr>'
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
        f"<section><h1>Invoice {esc(invoice['number'])}</h1>{error(message)}<p>Status: <strong>{esc(invoice['status'])}</strong></p>"
        f'<p class="big">{esc(money.format_amount(invoice["amount_due"], currency))}</p><table>{rows}'
        f'<tr><th>Total</th><td class="amount">{esc(money.format_amount(invoice["total"], currency))}</td></tr></table>'
        f'<p><a href="{esc(invoice["invoice_pdf"])}">Download the PDF</a></p>{_confirmation(unit, invoice)}{form}</section>',
        one=True,
    )


def receipt(sim: Simulator, request: Request, steps: list[str]) -> Response:
    with sim.unit() as unit:
        charge = unit.get(steps[0])
        if charge is None or charge["object"] != "charge":
            return not_found("There is no such receipt.")
        amount = money.format_amount(charge["amount"], charge["currency"])
        return html(
            layout(
                "Receipt", f"<section><h1>Receipt</h1><p>{esc(amount)} paid on {format_date(charge['created'])}.</p></section>", one=True
            )
        )
    raise AssertionError("unreachable: the unit of work returns or raises")


def _pdf(lines: list[str]) -> bytes:
    """Return a minimal valid PDF with one page of text."""
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
