"""Credit notes: they reduce an open invoice, or refund or credit a paid one."""

from stripe_simulator import customer_balance, invoice_collection
from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import embedded_list, page
from stripe_simulator.render import already_rendered, embeds, view
from stripe_simulator.resources.refunds import refund_charge
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit


def _lines(invoice: Obj, p: Params) -> list[Obj]:
    by_id = {line["id"]: line for line in invoice["_lines"]}
    out = []
    for number, row in enumerate(p.get("lines") or [{"type": "custom_line_item", "amount": p.get("amount"), "description": None}]):
        source = by_id.get(row.get("invoice_line_item", ""))
        if row["type"] == "invoice_line_item" and source is None:
            raise invalid(f"No such invoice line item: '{row.get('invoice_line_item')}'", f"lines[{number}]", "resource_missing")
        quantity = row.get("quantity")
        amount = row.get("amount")
        if amount is None:
            amount = row["unit_amount"] * (quantity or 1) if "unit_amount" in row else source["amount"] if source else 0
        line = new_object(
            "credit_note_line_item",
            id=new_id("cnli", 24),
            amount=amount,
            description=row.get("description") or (source and source["description"]),
            quantity=quantity,
            taxes=[],
            type=row["type"],
            unit_amount=row.get("unit_amount"),
        )
        out.append(line | ({"invoice_line_item": source["id"]} if source else {}))
    return out


def _credited(unit: Unit, invoice: Obj) -> int:
    return sum(note["amount"] for note in unit.find("credit_note", parent=invoice["id"]) if note["status"] == "issued")


def _build(unit: Unit, p: Params) -> Obj:
    invoice = unit.require("invoice", p["invoice"], "invoice")
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise invalid(f"You can only create credit notes for open or paid invoices; this one is {invoice['status']}.", "invoice")
    requested = sum(p.get(name, 0) for name in ("refund_amount", "credit_amount", "out_of_band_amount"))
    if p.get("amount") is None and not p.get("lines"):
        if not requested:
            raise invalid("You must pass `amount` or `lines`.", "amount", "parameter_missing")
        p = p | {"amount": requested}
    lines = _lines(invoice, p)
    amount = sum(line["amount"] for line in lines)
    left = (invoice["total"] if invoice["status"] == "paid" else invoice["amount_remaining"]) - _credited(unit, invoice)
    if not 0 < amount <= max(left, 0):
        raise invalid(f"The credit note's amount ({amount}) exceeds what can be credited on the invoice ({left}).", "amount")
    before = invoice["status"] != "paid"
    if not before and requested != amount:
        message = "The sum of credit amount, refund amount and out of band amount must equal the credit note amount."
        raise invalid(message, "amount")
    number = 1 + len(unit.find("credit_note", parent=invoice["id"]))
    id = new_id("cn", 24)
    note = new_object(
        "credit_note",
        id=id,
        amount=amount,
        created=unit.now(invoice),
        currency=invoice["currency"],
        customer=invoice["customer"],
        effective_at=unit.now(invoice),
        invoice=invoice["id"],
        memo=p.get("memo"),
        metadata={},
        number=f"{invoice['number']}-CN-{number:02d}",
        out_of_band_amount=p.get("out_of_band_amount"),
        pdf=f"{unit.base_url}/i/{invoice['id']}/pdf",
        post_payment_amount=0 if before else amount,
        pre_payment_amount=amount if before else 0,
        reason=p.get("reason"),
        status="issued",
        subtotal=amount,
        subtotal_excluding_tax=amount,
        total=amount,
        total_excluding_tax=amount,
        total_taxes=[],
        type="pre_payment" if before else "post_payment",
        _lines=lines,
    )
    merge_metadata(note, p.get("metadata"))
    return note


@route("POST", "/v1/credit_notes")
def create(unit: Unit, p: Params) -> Obj:
    note = unit.add(_build(unit, p))
    invoice = unit.require("invoice", note["invoice"])
    if note["type"] == "pre_payment":
        invoice["pre_payment_credit_notes_amount"] += note["amount"]
        invoice["amount_due"] -= note["amount"]
        invoice["amount_remaining"] -= note["amount"]
        intent = unit.get(invoice.get("_intent") or "")
        if intent is not None:
            intent["amount"] = invoice["amount_due"]
            unit.save(intent)
    else:
        invoice["post_payment_credit_notes_amount"] += note["amount"]
        _refund_or_credit(unit, note, invoice, p)
    emit(unit, "credit_note.created", note)
    updated(unit, invoice)
    if invoice["status"] == "open" and invoice["amount_remaining"] == 0:
        invoice_collection.mark_paid(unit, invoice)
    return note


def _refund_or_credit(unit: Unit, note: Obj, invoice: Obj, p: Params) -> None:
    if amount := p.get("refund_amount"):
        intent = unit.get(invoice.get("_intent") or "")
        if intent is None or not intent["latest_charge"]:
            raise invalid("The invoice has no charge that could be refunded.", "refund_amount")
        refund = refund_charge(unit, unit.require("charge", intent["latest_charge"]), amount, "requested_by_customer")
        note["refunds"] = [{"amount_refunded": amount, "payment_record_refund": None, "refund": refund["id"], "type": "refund"}]
    if amount := p.get("credit_amount"):
        customer = unit.require("customer", invoice["customer"])
        customer["balance"] -= amount
        entry = customer_balance.add_transaction(unit, customer, -amount, "credit_note", currency=note["currency"], credit_note=note["id"])
        note["customer_balance_transaction"] = entry["id"]
        updated(unit, customer)


@route("GET", "/v1/credit_notes/preview")
def preview(unit: Unit, p: Params) -> Obj:
    return already_rendered(view(unit, _build(unit, p)))


@route("GET", "/v1/credit_notes/{id}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("credit_note", p["id"])


@route("POST", "/v1/credit_notes/{id}")
def update(unit: Unit, p: Params) -> Obj:
    note = unit.require("credit_note", p["id"])
    note["memo"] = p.get("memo", note["memo"])
    merge_metadata(note, p.get("metadata"))
    updated(unit, note)
    return note


@route("POST", "/v1/credit_notes/{id}/void")
def void(unit: Unit, p: Params) -> Obj:
    note = unit.require("credit_note", p["id"])
    invoice = unit.require("invoice", note["invoice"])
    if note["status"] == "void" or note["type"] != "pre_payment" or invoice["status"] != "open":
        raise invalid("You can only void an issued credit note of an open invoice.")
    note |= {"status": "void", "voided_at": unit.now(note)}
    unit.save(note)
    invoice["pre_payment_credit_notes_amount"] -= note["amount"]
    invoice["amount_due"] += note["amount"]
    invoice["amount_remaining"] += note["amount"]
    updated(unit, invoice)
    emit(unit, "credit_note.voided", note)
    return note


@route("GET", "/v1/credit_notes/{credit_note}/lines")
def lines(unit: Unit, p: Params) -> Obj:
    note = unit.require("credit_note", p["credit_note"])
    listed = page(f"/v1/credit_notes/{note['id']}/lines", note["_lines"], p)
    listed["data"] = listed.pop("_listed")
    return already_rendered(listed)


@route("GET", "/v1/credit_notes")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/credit_notes", unit.find("credit_note", customer=p.get("customer"), parent=p.get("invoice")), p)


@embeds("credit_note")
def _embed(unit: Unit, note: Obj, out: Obj) -> None:
    out["lines"] = embedded_list(f"/v1/credit_notes/{note['id']}/lines", note["_lines"])
