"""The hosted customer portal: plan, card, invoices; what may be changed is the configuration's word."""

from contextmcp.local.stripe import cards, collecting, ending, items, money, payments, pricing, setups
from contextmcp.local.stripe.errors import Refusal, invalid
from contextmcp.local.stripe.events import updated
from contextmcp.local.stripe.kinds import Obj, ident
from contextmcp.local.stripe.life import change
from contextmcp.local.stripe.pages.html import e, error, gone, html, layout, redirect, submitted
from contextmcp.local.stripe.proration import day
from contextmcp.local.stripe.simulator import Answer, Request, Simulator
from contextmcp.local.stripe.unit import Unit


def respond(sim: Simulator, request: Request, steps: list[str]) -> Answer:
    message: str | None = None
    if request.method == "POST":
        try:
            with sim.unit() as unit:
                session = unit.need("billing_portal.session", steps[0])
                _act(unit, session, submitted(request))
                after = ((session["flow"] or {}).get("after_completion") or {}).get("redirect")
            return redirect(after["return_url"] if after else f"/p/session/{steps[0]}")
        except Refusal as refusal:
            message = refusal.message
    with sim.unit() as unit:
        shown = unit.get(steps[0])
        if shown is None or shown["object"] != "billing_portal.session":
            return gone("There is no such portal page.")
        return html(_page(unit, shown, message), 402 if message else 200)
    raise AssertionError("a unit of work ends by answering")


def _features(unit: Unit, session: Obj) -> Obj:
    found: Obj = unit.need("billing_portal.configuration", session["configuration"])["features"]
    return found


def _subscriptions(unit: Unit, customer: str) -> list[Obj]:
    return [each for each in unit.find("subscription", customer=customer) if each["status"] not in ending.OVER]


def _act(unit: Unit, session: Obj, given: dict[str, str]) -> None:
    features = _features(unit, session)
    action = given.get("action", "")
    needed = {"cancel": "subscription_cancel", "resume": "subscription_cancel", "switch": "subscription_update"}
    needed |= {"card": "payment_method_update", "pay": "invoice_history"}
    if action not in needed or not features[needed[action]]["enabled"]:
        raise invalid("This is not offered here.")
    if action == "card":
        _replace_card(unit, session["customer"], given)
        return
    if action == "pay":
        invoice = unit.need("invoice", given.get("invoice", ""))
        if invoice["customer"] == session["customer"] and collecting.collect(unit, invoice) != "paid":
            raise collecting.refuse_payment(unit, invoice, keep=True)
        return
    chosen = [each for each in _subscriptions(unit, session["customer"]) if each["id"] == given.get("subscription", each["id"])]
    if not chosen:
        raise invalid("There is no subscription to change.")
    if action == "cancel":
        _cancel(unit, chosen[0], features["subscription_cancel"], given)
    elif action == "resume":
        change.change(unit, chosen[0], {"cancel_at_period_end": False})
    else:
        _switch(unit, chosen[0], features["subscription_update"], given)


def _cancel(unit: Unit, subscription: Obj, feature: Obj, given: dict[str, str]) -> None:
    details = {"feedback": given["feedback"]} if given.get("feedback") else {}
    if feature["mode"] == "immediately":
        subscription["cancellation_details"] |= details
        ending.end(unit, subscription)
    else:
        change.change(unit, subscription, {"cancel_at_period_end": True, "cancellation_details": details})


def _switch(unit: Unit, subscription: Obj, feature: Obj, given: dict[str, str]) -> None:
    allowed = {price for product in feature["products"] or [] for price in product["prices"]}
    if given.get("price") not in allowed:
        raise invalid("This plan is not offered here.")
    item = next(each for each in subscription["_items"] if "quantity" in each)
    wanted: Obj = {"items": [{"id": item["id"], "price": given["price"]}], "proration_behavior": feature["proration_behavior"]}
    if subscription["status"] == "trialing" and feature["trial_update_behavior"] == "end_trial":
        wanted["trial_end"] = "now"
    change.change(unit, subscription, {**wanted, "payment_behavior": "error_if_incomplete"})


def _replace_card(unit: Unit, customer_id: str, given: dict[str, str]) -> None:
    customer = unit.need("customer", customer_id)
    month, _, year = given.get("cardExpiry", "12/34").replace(" ", "").partition("/")
    expiry = {"exp_month": int(month), "exp_year": 2000 + int(year) % 100} if month.isdigit() and year.isdigit() else {}
    method = payments.new_method(unit, cards.of_number(given.get("cardNumber", "")), **expiry)
    setups.set_up(unit, setups.new_setup(unit, customer["id"]), method, authenticated=True)
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    updated(unit, customer)
    for subscription in _subscriptions(unit, customer_id):
        if subscription["default_payment_method"]:
            change.change(unit, subscription, {"default_payment_method": method["id"]})


def _page(unit: Unit, session: Obj, message: str | None) -> str:
    features = _features(unit, session)
    back = f'<p><a href="{e(session["return_url"])}" id="return">&larr; Return</a></p>' if session["return_url"] else ""
    body = f"{back}{error(message)}"
    for subscription in _subscriptions(unit, session["customer"]):
        body += _subscription(unit, subscription, features)
    body += _method(unit, session["customer"], features) + _invoices(unit, session["customer"], features)
    return layout("Billing", f"<div><h1>Billing</h1>{body}</div>", one=True)


def _button(action: str, label: str, subscription: str, inner: str = "", plain: bool = True) -> str:
    kind = "plain" if plain else ""
    return (
        f'<form method="post"><input type="hidden" name="subscription" value="{e(subscription)}">{inner}'
        f'<button class="{kind}" name="action" value="{action}">{label}</button></form>'
    )


def _subscription(unit: Unit, subscription: Obj, features: Obj) -> str:
    id = subscription["id"]
    rows = ""
    for item in subscription["_items"]:
        price = items.price_of(unit, item)
        cost = f"{money.spoken(pricing.unit_amount(price), price['currency'])}{pricing.every(price)}"
        rows += f'<tr><td>{e(pricing.name(unit, price))}</td><td class="amount">{e(cost)}</td></tr>'
    end = items.next_end(subscription)
    note = f"Cancels on {day(subscription['cancel_at'])}." if subscription["cancel_at"] else f"Renews on {day(end)}."
    out = f"<section><h2>Current plan</h2><table>{rows}</table><p>Status: <strong>{e(subscription['status'])}</strong>. {e(note)}</p>"
    if features["subscription_cancel"]["enabled"]:
        if subscription["cancel_at_period_end"]:
            out += _button("resume", "Don't cancel plan", id, plain=False)
        else:
            out += _button("cancel", "Cancel plan", id)
    products = features["subscription_update"]["products"] or []
    if features["subscription_update"]["enabled"] and products:
        options = ""
        for price_id in (price for product in products for price in product["prices"]):
            price = unit.need("price", price_id)
            cost = f"{pricing.name(unit, price)}: {money.spoken(pricing.unit_amount(price), price['currency'])}{pricing.every(price)}"
            options += f'<option value="{e(price_id)}">{e(cost)}</option>'
        out += _button("switch", "Switch plan", id, f'<label for="price">Plan</label><select id="price" name="price">{options}</select>')
    return out + "</section>"


def _method(unit: Unit, customer_id: str, features: Obj) -> str:
    customer = unit.need("customer", customer_id)
    chosen = [ident(customer["invoice_settings"]["default_payment_method"])]
    chosen += [ident(each["default_payment_method"]) for each in _subscriptions(unit, customer_id)]
    method = next((unit.get(id) for id in chosen if id), None)
    shown = f"{method['card']['brand'].title()} ending in {method['card']['last4']}" if method else "No card"
    out = f"<section><h2>Payment method</h2><p>{e(shown)}</p>"
    if features["payment_method_update"]["enabled"]:
        out += (
            '<form method="post"><label for="cardNumber">New card number</label><input id="cardNumber" name="cardNumber" '
            'autocomplete="cc-number" required><div class="row"><div><label for="cardExpiry">Expiry</label><input id="cardExpiry" '
            'name="cardExpiry" placeholder="12 / 34"></div><div><label for="cardCvc">CVC</label>'
            '<input id="cardCvc" name="cardCvc"></div></div>'
            '<button name="action" value="card">Replace card</button></form>'
        )
    return out + "</section>"


def _invoices(unit: Unit, customer_id: str, features: Obj) -> str:
    if not features["invoice_history"]["enabled"]:
        return ""
    rows = ""
    for invoice in unit.find("invoice", customer=customer_id):
        if invoice["status"] == "draft":
            continue
        pay = ""
        if invoice["status"] == "open":
            hidden = f'<input type="hidden" name="invoice" value="{e(invoice["id"])}">'
            pay = f'<form method="post">{hidden}<button name="action" value="pay">Pay</button></form>'
        rows += (
            f'<tr><td>{day(invoice["created"])}</td><td><a href="{e(invoice["hosted_invoice_url"])}">{e(invoice["number"])}</a></td>'
            f'<td>{e(invoice["status"])}</td><td class="amount">{e(money.spoken(invoice["total"], invoice["currency"]))}{pay}</td></tr>'
        )
    return f"<section><h2>Invoices</h2><table>{rows}</table></section>"
