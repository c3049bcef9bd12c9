"""The hosted customer portal: plan, payment method and invoices. The configuration decides what customers can change."""

from stripe_simulator import cancellation, cards, invoice_collection, items, money, payments, pricing, setup_intents, tax_ids
from stripe_simulator.defaults import new_object
from stripe_simulator.errors import Refusal, invalid
from stripe_simulator.events import updated
from stripe_simulator.pages.html import error, esc, form_data, html, layout, not_found, redirect
from stripe_simulator.proration import format_date
from stripe_simulator.simulator import Request, Response, Simulator
from stripe_simulator.subscriptions import changes
from stripe_simulator.types import Obj, id_of
from stripe_simulator.unit_of_work import Unit

ADDRESS = {"line1": "Address", "city": "City", "postal_code": "Postal code", "country": "Country code"}
TAX_ID_TYPES = {"eu_vat": "EU VAT number", "gb_vat": "UK VAT number", "us_ein": "US EIN"}


def respond(sim: Simulator, request: Request, steps: list[str]) -> Response:
    message: str | None = None
    if request.method == "POST":
        try:
            with sim.unit() as unit:
                session = unit.require("billing_portal.session", steps[0])
                _act(unit, session, form_data(request))
                after = ((session["flow"] or {}).get("after_completion") or {}).get("redirect")
            return redirect(after["return_url"] if after else f"/p/session/{steps[0]}")
        except Refusal as refusal:
            message = refusal.message
    with sim.unit() as unit:
        portal_session = unit.get(steps[0])
        if portal_session is None or portal_session["object"] != "billing_portal.session":
            return not_found("There is no such portal page.")
        return html(_page(unit, portal_session, message), 402 if message else 200)
    raise AssertionError("unreachable: the unit of work returns or raises")


def _features(unit: Unit, session: Obj) -> Obj:
    features: Obj = unit.require("billing_portal.configuration", session["configuration"])["features"]
    return features


def _subscriptions(unit: Unit, customer: str) -> list[Obj]:
    return [each for each in unit.find("subscription", customer=customer) if each["status"] not in cancellation.TERMINAL_STATUSES]


def _act(unit: Unit, session: Obj, data: dict[str, str]) -> None:
    features = _features(unit, session)
    action = data.get("action", "")
    needed = {"cancel": "subscription_cancel", "resume": "subscription_cancel", "switch": "subscription_update"}
    needed |= {"card": "payment_method_update", "pay": "invoice_history", "details": "customer_update"}
    if action not in needed or not features[needed[action]]["enabled"]:
        raise invalid("This is not offered here.")
    if action == "card":
        _replace_card(unit, session["customer"], data)
        return
    if action == "details":
        _update_details(unit, unit.require("customer", session["customer"]), features["customer_update"]["allowed_updates"], data)
        return
    if action == "pay":
        invoice = unit.require("invoice", data.get("invoice", ""))
        if invoice["customer"] == session["customer"] and invoice_collection.collect(unit, invoice) != "paid":
            raise invoice_collection.payment_error(unit, invoice, keep=True)
        return
    selected = [each for each in _subscriptions(unit, session["customer"]) if each["id"] == data.get("subscription", each["id"])]
    if not selected:
        raise invalid("There is no subscription to change.")
    if action == "cancel":
        _cancel(unit, selected[0], features["subscription_cancel"], data)
    elif action == "resume":
        changes.change(unit, selected[0], {"cancel_at_period_end": False})
    else:
        _switch(unit, selected[0], features["subscription_update"], data)


def _cancel(unit: Unit, subscription: Obj, feature: Obj, data: dict[str, str]) -> None:
    details = {"feedback": data["feedback"]} if data.get("feedback") else {}
    if feature["mode"] == "immediately":
        subscription["cancellation_details"] |= details
        cancellation.cancel_now(unit, subscription)
    else:
        changes.change(unit, subscription, {"cancel_at_period_end": True, "cancellation_details": details})


def _switch(unit: Unit, subscription: Obj, feature: Obj, data: dict[str, str]) -> None:
    allowed = {price for product in feature["products"] or [] for price in product["prices"]}
    if data.get("price") not in allowed:
        raise invalid("This plan is not offered here.")
    item = next(each for each in subscription["_items"] if "quantity" in each)
    params: Obj = {"items": [{"id": item["id"], "price": data["price"]}], "proration_behavior": feature["proration_behavior"]}
    if subscription["status"] == "trialing" and feature["trial_update_behavior"] == "end_trial":
        params["trial_end"] = "now"
    changes.change(unit, subscription, {**params, "payment_behavior": "error_if_incomplete"})


def _update_details(unit: Unit, customer: Obj, allowed: list[str], data: dict[str, str]) -> None:
    if "name" in allowed and data.get("name"):
        customer["name"] = data["name"]
    if "address" in allowed:
        customer["address"] = new_object("address", **{name: data[name] for name in ADDRESS if data.get(name)})
    updated(unit, customer)
    if "tax_id" in allowed and data.get("taxId"):
        tax_ids.create(unit, customer, data.get("taxIdType", "eu_vat"), data["taxId"])


def _replace_card(unit: Unit, customer_id: str, data: dict[str, str]) -> None:
    customer = unit.require("customer", customer_id)
    month, _, year = data.get("cardExpiry", "12/34").replace(" ", "").partition("/")
    expiry = {"exp_month": int(month), "exp_year": 2000 + int(year) % 100} if month.isdigit() and year.isdigit() else {}
    method = payments.new_method(unit, cards.of_number(data.get("cardNumber", "")), **expiry)
    setup_intents.set_up(unit, setup_intents.new_setup(unit, customer["id"]), method, authenticated=True)
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    updated(unit, customer)
    for subscription in _subscriptions(unit, customer_id):
        if subscription["default_payment_method"]:
            changes.change(unit, subscription, {"default_payment_method": method["id"]})


def _page(unit: Unit, session: Obj, message: str | None) -> str:
    features = _features(unit, session)
    back = f'<p><a href="{esc(session["return_url"])}" id="return">&larr; Return</a></p>' if session["return_url"] else ""
    body = f"{back}{error(message)}"
    for subscription in _subscriptions(unit, session["customer"]):
        body += _subscription(unit, subscription, features)
    body += _method(unit, session["customer"], features) + _details(unit, session["customer"], features)
    body += _invoices(unit, session["customer"], features)
    return layout("Billing", f"<div><h1>Billing</h1>{body}</div>", one=True)


def _button(action: str, label: str, subscription: str, inner: str = "", plain: bool = True) -> str:
    kind = "plain" if plain else ""
    return (
        f'<form method="post"><input type="hidden" name="subscription" value="{esc(subscription)}">{inner}'
        f'<button class="{kind}" name="action" value="{action}">{label}</button></form>'
    )


def _subscription(unit: Unit, subscription: Obj, features: Obj) -> str:
    id = subscription["id"]
    rows = ""
    for item in subscription["_items"]:
        price = items.price_of(unit, item)
        cost = f"{money.format_amount(pricing.unit_amount(price), price['currency'])}{pricing.format_interval(price)}"
        rows += f'<tr><td>{esc(pricing.name(unit, price))}</td><td class="amount">{esc(cost)}</td></tr>'
    end = items.next_period_end(subscription)
    note = f"Cancels on {format_date(subscription['cancel_at'])}." if subscription["cancel_at"] else f"Renews on {format_date(end)}."
    out = f"<section><h2>Current plan</h2><table>{rows}</table><p>Status: <strong>{esc(subscription['status'])}</strong>. {esc(note)}</p>"
    if features["subscription_cancel"]["enabled"]:
        if subscription["cancel_at_period_end"]:
            out += _button("resume", "Don't cancel plan", id, plain=False)
        else:
            out += _button("cancel", "Cancel plan", id)
    products = features["subscription_update"]["products"] or []
    if features["subscription_update"]["enabled"] and products:
        options = ""
        for price_id in (price for product in products for price in product["prices"]):
            price = unit.require("price", price_id)
            amount = money.format_amount(pricing.unit_amount(price), price["currency"])
            cost = f"{pricing.name(unit, price)}: {amount}{pricing.format_interval(price)}"
            options += f'<option value="{esc(price_id)}">{esc(cost)}</option>'
        out += _button("switch", "Switch plan", id, f'<label for="price">Plan</label><select id="price" name="price">{options}</select>')
    return out + "</section>"


def _method(unit: Unit, customer_id: str, features: Obj) -> str:
    customer = unit.require("customer", customer_id)
    default_ids = [id_of(customer["invoice_settings"]["default_payment_method"])]
    default_ids += [id_of(each["default_payment_method"]) for each in _subscriptions(unit, customer_id)]
    method = next((unit.get(id) for id in default_ids if id), None)
    label = f"{method['card']['brand'].title()} ending in {method['card']['last4']}" if method else "No card"
    out = f"<section><h2>Payment method</h2><p>{esc(label)}</p>"
    if features["payment_method_update"]["enabled"]:
        out += (
            '<form method="post"><label for="cardNumber">New card number</label><input id="cardNumber" name="cardNumber" '
            'autocomplete="cc-number" required><div class="row"><div><label for="cardExpiry">Expiry</label><input id="cardExpiry" '
            'name="cardExpiry" placeholder="12 / 34"></div><div><label for="cardCvc">CVC</label>'
            '<input id="cardCvc" name="cardCvc"></div></div>'
            '<button name="action" value="card">Replace card</button></form>'
        )
    return out + "</section>"


def _details(unit: Unit, customer_id: str, features: Obj) -> str:
    if not features["customer_update"]["enabled"]:
        return ""
    customer, allowed = unit.require("customer", customer_id), features["customer_update"]["allowed_updates"]
    values = {"name": customer["name"], **(customer["address"] or {})}
    names = [*(["name"] if "name" in allowed else []), *(ADDRESS if "address" in allowed else [])]
    fields = "".join(
        f'<label for="{name}">{ADDRESS.get(name, "Name")}</label><input id="{name}" name="{name}" value="{esc(values.get(name) or "")}">'
        for name in names
    )
    if "tax_id" in allowed:
        known = ", ".join(each["value"] for each in tax_ids.of_customer(unit, customer_id))
        options = "".join(f'<option value="{kind}">{title}</option>' for kind, title in TAX_ID_TYPES.items())
        fields += (
            f"<p>Tax IDs: {esc(known or 'none')}</p>"
            f'<label for="taxIdType">Tax ID type</label><select id="taxIdType" name="taxIdType">{options}</select>'
            '<label for="taxId">Tax ID</label><input id="taxId" name="taxId">'
        )
    button = '<button name="action" value="details">Save</button>'
    return f'<section><h2>Billing information</h2><form method="post">{fields}{button}</form></section>'


def _invoices(unit: Unit, customer_id: str, features: Obj) -> str:
    if not features["invoice_history"]["enabled"]:
        return ""
    rows = ""
    for invoice in unit.find("invoice", customer=customer_id):
        if invoice["status"] == "draft":
            continue
        pay = ""
        if invoice["status"] == "open":
            hidden = f'<input type="hidden" name="invoice" value="{esc(invoice["id"])}">'
            pay = f'<form method="post">{hidden}<button name="action" value="pay">Pay</button></form>'
        link = f'<a href="{esc(invoice["hosted_invoice_url"])}">{esc(invoice["number"])}</a>'
        total = money.format_amount(invoice["total"], invoice["currency"])
        rows += (
            f"<tr><td>{format_date(invoice['created'])}</td><td>{link}</td>"
            f'<td>{esc(invoice["status"])}</td><td class="amount">{esc(total)}{pay}</td></tr>'
        )
    return f"<section><h2>Invoices</h2><table>{rows}</table></section>"
