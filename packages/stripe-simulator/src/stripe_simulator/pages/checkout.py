"""The hosted Checkout page: the order, the payment method, promotion codes, and the bank's authentication if required."""

from stripe_simulator import cards, checkout, checkout_lines, money, pricing
from stripe_simulator.errors import Refusal
from stripe_simulator.pages.html import error, esc, form_data, html, layout, not_found, redirect
from stripe_simulator.proration import format_date
from stripe_simulator.simulator import Request, Response, Simulator
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


def respond(sim: Simulator, request: Request, steps: list[str]) -> Response:
    message: str | None = None
    data = form_data(request) if request.method == "POST" else {}
    if data:
        try:
            done = _act(sim, steps[0], data)
            if done is not None:
                return done
        except Refusal as refusal:
            message = refusal.message
    with sim.unit() as unit:
        session = unit.get(steps[0])
        if session is None or session["object"] != "checkout.session":
            return not_found("There is no such Checkout page.")
        if session["status"] == "complete":
            return redirect(_success(session))
        if session["status"] == "expired":
            return not_found("This Checkout page has expired.", 410)
        return html(_page(unit, session, data, message), 402 if message else 200)
    raise AssertionError("unreachable: the unit of work returns or raises")


def _success(session: Obj) -> str:
    url = session["success_url"] or "/"
    return str(url).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _act(sim: Simulator, id: str, data: dict[str, str]) -> Response | None:
    """Handle the submitted form: apply a code, pay, or complete the authentication."""
    action = data.get("action", "pay")
    with sim.unit() as unit:
        session = unit.require("checkout.session", id)
        if action == "promotion":
            checkout_lines.apply_promotion_code(unit, session, data.get("promotionCode", ""))
            return None
        if action == "remove_promotion":
            session["_discounts"] = []
            checkout_lines.update_totals(unit, session)
            return None
        if action == "deny":
            raise Refusal("We are unable to authenticate your payment method. Please choose a different payment method and try again.")
        code = data.get("promotionCode")
        if code and session["allow_promotion_codes"] and not session["_discounts"]:
            checkout_lines.apply_promotion_code(unit, session, code)
        iban = data.get("iban", "") if "sepa_debit" in session["payment_method_types"] else ""
        card, expiry = (None, {}) if iban else _card(session, data)
        details = {"email": data.get("email") or session["customer_email"], "name": data.get("billingName")}
        if not details["email"] and not session["customer"]:
            raise Refusal("Please enter your email.", param="email")
        outcome = checkout.complete(unit, session, card, details, expiry, authenticated=action == "authenticate", iban=iban)
        if outcome == "requires_action":
            return html(_authentication_form(session, data))
        return redirect(_success(session))


def _card(session: Obj, data: dict[str, str]) -> tuple[cards.Card | None, Params]:
    if not checkout.needs_card(session) and not data.get("cardNumber"):
        return None, {}
    if not data.get("cardNumber"):
        raise Refusal("Please enter your card number.", param="cardNumber")
    month, _, year = data.get("cardExpiry", "12/34").replace(" ", "").partition("/")
    if not (month.isdigit() and year.isdigit() and 1 <= int(month) <= 12):
        raise Refusal("Your card's expiration date is invalid.", param="cardExpiry")
    return cards.of_number(data["cardNumber"]), {"exp_month": int(month), "exp_year": 2000 + int(year) % 100}


def _page(unit: Unit, session: Obj, data: dict[str, str], message: str | None) -> str:
    return layout("Checkout", _summary(unit, session) + _form(unit, session, data, message))


def _summary(unit: Unit, session: Obj) -> str:
    currency = session["currency"] or "usd"
    rows = ""
    for row in session["_rows"]:
        price = checkout_lines.price_of(unit, row)
        each = f"{money.format_amount(pricing.unit_amount(price), currency)}{pricing.format_interval(price)}"
        quantity = f" {money.MULTIPLICATION_SIGN} {row['quantity']}" if (row["quantity"] or 1) != 1 else ""
        kind = "billed by use" if pricing.is_metered(price) else each
        rows += f'<tr><td>{esc(pricing.name(unit, price))}{quantity}</td><td class="amount">{esc(kind)}</td></tr>'
    if off := session["total_details"]["amount_discount"]:
        rows += f'<tr><td>Discount</td><td class="amount">{esc(money.format_amount(-off, currency))}</td></tr>'
    trial = checkout_lines.trial_end(unit, session) if session["mode"] == "subscription" else None
    until = f'<p class="quiet">Free trial until {format_date(trial)}; the first payment follows then.</p>' if trial else ""
    total = money.format_amount(session["amount_total"] or 0, currency)
    cancel = f'<p><a href="{esc(session["cancel_url"])}">&larr; Back</a></p>' if session["cancel_url"] else ""
    return (
        f'<section aria-label="Order">{cancel}<h1>Order</h1><p class="quiet">Due today</p><p class="big" id="total">{esc(total)}</p>{until}'
        f"<table>{rows}</table></section>"
    )


def _form(unit: Unit, session: Obj, data: dict[str, str], message: str | None) -> str:
    customer = unit.get(session["customer"] or "")
    email = data.get("email") or session["customer_email"] or (customer or {}).get("email") or ""
    fixed = " readonly" if session["customer"] or session["customer_email"] else ""
    label = {"subscription": "Subscribe", "payment": "Pay", "setup": "Save card"}[session["mode"]]
    trial = session["mode"] == "subscription" and checkout_lines.trial_end(unit, session) is not None
    debit = _debit_field(session)
    return (
        f'<section aria-label="Payment"><h2>Payment</h2>{error(message)}'
        f'<form method="post" id="payment-form"><input type="hidden" name="action" value="pay">'
        f'<label for="email">Email</label>'
        f'<input id="email" name="email" type="email" autocomplete="email" value="{esc(email)}"{fixed} required>'
        f"{debit}{_card_fields(data, 'iban' not in debit) if checkout.needs_card(session) else ''}"
        f'<label for="billingName">Name on card</label><input id="billingName" name="billingName" autocomplete="cc-name" '
        f'value="{esc(data.get("billingName", ""))}">'
        f'<button class="wide" type="submit" id="submit">{"Start trial" if trial else label}</button></form>'
        f"{_promotion(unit, session)}</section>"
    )


def _debit_field(session: Obj) -> str:
    if "sepa_debit" not in session["payment_method_types"]:
        return ""
    return '<label for="iban">IBAN, to pay by SEPA debit instead of a card</label><input id="iban" name="iban">'


def _card_fields(data: dict[str, str], required: bool) -> str:
    must = "required" if required else ""
    return (
        '<label for="cardNumber">Card number</label><input id="cardNumber" name="cardNumber" inputmode="numeric" autocomplete="cc-number" '
        f'placeholder="4242 4242 4242 4242" value="{esc(data.get("cardNumber", ""))}" {must}><div class="row"><div>'
        '<label for="cardExpiry">Expiry</label><input id="cardExpiry" name="cardExpiry" autocomplete="cc-exp" placeholder="12 / 34" '
        f'value="{esc(data.get("cardExpiry", ""))}" {must}></div><div><label for="cardCvc">CVC</label><input id="cardCvc" name="cardCvc" '
        f'inputmode="numeric" autocomplete="cc-csc" placeholder="123" value="{esc(data.get("cardCvc", ""))}" {must}></div></div>'
    )


def _promotion(unit: Unit, session: Obj) -> str:
    used = [unit.get(row.get("promotion_code") or "") for row in session["_discounts"]]
    names = [row["code"] for row in used if row]
    if names and session["allow_promotion_codes"]:
        return (
            f'<form method="post"><p class="quiet">Promotion code <strong>{esc(names[0])}</strong> is applied.</p>'
            '<button class="plain" name="action" value="remove_promotion">Remove it</button></form>'
        )
    if not session["allow_promotion_codes"]:
        return ""
    return (
        '<form method="post" id="promotion-form"><label for="promotionCode">Promotion code</label>'
        '<input id="promotionCode" name="promotionCode"><button class="plain" name="action" value="promotion">Apply</button></form>'
    )


def _authentication_form(session: Obj, data: dict[str, str]) -> str:
    """Return the bank's page. The form carries the card data, because nothing is stored before the customer has authenticated."""
    hidden = "".join(f'<input type="hidden" name="{esc(name)}" value="{esc(value)}">' for name, value in data.items() if name != "action")
    amount = money.format_amount(session["amount_total"] or 0, session["currency"] or "usd")
    return layout(
        "Confirm your payment",
        f"<section><h1>Your bank asks you to confirm</h1><p>3D Secure test page: a payment of {esc(amount)}.</p>"
        f'<form method="post">{hidden}'
        '<button name="action" value="authenticate" id="confirm">Confirm</button> '
        '<button class="plain" name="action" value="deny" id="deny">Deny</button></form></section>',
        one=True,
    )
