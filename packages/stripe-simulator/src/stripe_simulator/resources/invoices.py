"""Invoices: create, finalize, pay, void and preview them."""

from stripe_simulator import currencies, discounts, invoice_collection, invoicing, jobs, payments, tax
from stripe_simulator.defaults import merge_metadata
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import matches, page, read_filter
from stripe_simulator.parameters import accept_only, read_all, unsupported
from stripe_simulator.routes.match import route
from stripe_simulator.types import DAY, Obj, Params
from stripe_simulator.unit_of_work import Unit

TEXTS = ("description", "footer", "statement_descriptor", "custom_fields", "default_payment_method")


@route("POST", "/v1/invoices")
def create(unit: Unit, p: Params) -> Obj:
    subscription = unit.require("subscription", p["subscription"], "subscription") if p.get("subscription") else None
    owner = p.get("customer") or (subscription["customer"] if subscription else "")
    customer = unit.require("customer", owner, "customer")
    now = unit.now(customer)
    currency = p.get("currency") or (subscription or customer)["currency"] or "usd"
    currencies.require(unit, customer, currency)
    if tax.is_requested(unit, p, customer):
        raise unsupported("automatic_tax[enabled]")
    behavior = p.get("pending_invoice_items_behavior")
    pending: list[Obj] = []
    if subscription or behavior == "include":
        pending = invoicing.pending_items(unit, customer["id"], subscription["id"] if subscription else None, currency)
        if subscription and not pending:
            raise invalid("Nothing to invoice for subscription", "subscription", "invoice_no_subscription_line_items")
    ids = [discounts.create(unit, row, customer["id"])["id"] for row in p.get("discounts") or [] if not row.get("discount")]
    method = p.get("collection_method", "charge_automatically")
    invoice = invoicing.draft(
        unit,
        customer,
        currency=currency,
        reason="manual",
        period=(now, now),
        subscription=subscription,
        items=pending,
        discount_ids=ids or None,
        automatic=p.get("auto_advance", False),
        quiet=True,
        collection_method=method,
        due_date=p.get("due_date") or (now + p["days_until_due"] * DAY if "days_until_due" in p else None),
    )
    _describe(unit, invoice, p)
    emit(unit, "invoice.created", invoice)
    return invoice


def _describe(unit: Unit, invoice: Obj, p: Params) -> None:
    if p.get("default_payment_method"):
        payments.attached_method(unit, p["default_payment_method"], invoice["customer"])
    invoice |= {name: read_all(p[name]) or None for name in TEXTS if name in p}
    merge_metadata(invoice, p.get("metadata"))


@route("GET", "/v1/invoices/{invoice}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("invoice", p["invoice"])


@route("POST", "/v1/invoices/{invoice}")
def update(unit: Unit, p: Params) -> Obj:
    invoice = unit.require("invoice", p["invoice"])
    _describe(unit, invoice, p)
    if "auto_advance" in p:
        invoice["auto_advance"] = p["auto_advance"]
        jobs.cancel(unit, invoice, "finalize")
        if p["auto_advance"] and invoice["status"] == "draft":
            invoice["automatically_finalizes_at"] = unit.now(invoice) + 3600
            jobs.schedule(unit, "finalize", invoice, invoice["automatically_finalizes_at"])
    if "discounts" in p:
        invoicing.require_draft(invoice)
        invoice["discounts"] = [discounts.create(unit, row, invoice["customer"])["id"] for row in p["discounts"] or []]
        invoicing.update_totals(unit, invoice)
    updated(unit, invoice)
    return invoice


@route("DELETE", "/v1/invoices/{invoice}")
def delete(unit: Unit, p: Params) -> Obj:
    invoice = unit.require("invoice", p["invoice"])
    invoicing.require_draft(invoice)
    for item in unit.find("invoiceitem", parent=invoice["id"]):
        item["invoice"] = None
        unit.save(item)
    jobs.cancel(unit, invoice)
    emit(unit, "invoice.deleted", invoice)
    return unit.tombstone(invoice)


@route("POST", "/v1/invoices/{invoice}/finalize")
def finalize(unit: Unit, p: Params) -> Obj:
    invoice = unit.require("invoice", p["invoice"])
    if invoice["status"] != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.", code="invoice_not_editable")
    accept_only(p, "auto_advance", invoice["auto_advance"])
    return invoice_collection.finalize(unit, invoice)


@route("POST", "/v1/invoices/{invoice}/pay")
def pay(unit: Unit, p: Params) -> Obj:
    invoice = unit.require("invoice", p["invoice"])
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] == "void":
        raise invalid("Invoice is voided and cannot be paid", code="invoice_not_payable")
    accept_only(p, "off_session", True)
    accept_only(p, "forgive", False)
    method_id = p.get("payment_method")
    if invoice["status"] == "draft":
        invoice_collection.finalize(unit, invoice)
    if p.get("paid_out_of_band"):
        invoice_collection.mark_paid(unit, invoice, outside=True)
    if invoice["status"] == "paid":
        return invoice
    method = payments.method(unit, method_id) if method_id else None
    if invoice_collection.collect(unit, invoice, method=method) not in ("paid", "processing"):
        raise invoice_collection.payment_error(unit, invoice, keep=True)
    return invoice


@route("POST", "/v1/invoices/{invoice}/send")
def send(unit: Unit, p: Params) -> Obj:
    invoice = unit.require("invoice", p["invoice"])
    if invoice["collection_method"] != "send_invoice":
        raise invalid("You can only manually send an invoice if its collection method is `send_invoice`.", code="invoice_not_sendable")
    if invoice["status"] not in ("draft", "open", "uncollectible"):
        raise invalid(f"You cannot send an invoice whose status is {invoice['status']}.", code="invoice_not_sendable")
    if invoice["status"] == "draft":
        invoice_collection.finalize(unit, invoice)
    emit(unit, "invoice.sent", invoice)
    return invoice


@route("POST", "/v1/invoices/{invoice}/void")
def void(unit: Unit, p: Params) -> Obj:
    return _close(unit, p["invoice"], "void", ("open", "uncollectible"))


@route("POST", "/v1/invoices/{invoice}/mark_uncollectible")
def mark_uncollectible(unit: Unit, p: Params) -> Obj:
    return _close(unit, p["invoice"], "uncollectible", ("open",))


def _close(unit: Unit, id: str, status: str, allowed: tuple[str, ...]) -> Obj:
    invoice = unit.require("invoice", id)
    if invoice["status"] not in allowed:
        raise invalid(f"You can only pass in open invoices. This invoice isn't open: it is {invoice['status']}.", code="invoice_not_open")
    invoice_collection.close(unit, invoice, status)
    return invoice


@route("GET", "/v1/invoices/{invoice}/lines")
def lines(unit: Unit, p: Params) -> Obj:
    invoice = unit.require("invoice", p["invoice"])
    listed = page(f"/v1/invoices/{invoice['id']}/lines", invoicing.shown_lines(invoice), p)
    listed["data"] = [{k: v for k, v in line.items() if not k.startswith("_")} for line in listed.pop("_listed")]
    return {"object": "list", "_shown": listed}


@route("GET", "/v1/invoices")
def index(unit: Unit, p: Params) -> Obj:
    invoices = unit.find("invoice", customer=p.get("customer"), parent=p.get("subscription"))
    for name in ("status", "collection_method"):
        if name in p:
            invoices = [invoice for invoice in invoices if invoice[name] == p[name]]
    if due := read_filter(p, "due_date"):
        invoices = [invoice for invoice in invoices if invoice["due_date"] and matches(invoice["due_date"], due)]
    return page("/v1/invoices", invoices, p)


@route("GET", "/v1/invoice_payments")
def payments_index(unit: Unit, p: Params) -> Obj:
    intent = (p.get("payment") or {}).get("payment_intent")
    payments_found = unit.find("invoice_payment", parent=p.get("invoice"), tag=intent)
    if "status" in p:
        payments_found = [payment for payment in payments_found if payment["status"] == p["status"]]
    return page("/v1/invoice_payments", payments_found, p)


@route("GET", "/v1/invoice_payments/{invoice_payment}")
def payment(unit: Unit, p: Params) -> Obj:
    return unit.require("invoice_payment", p["invoice_payment"])
