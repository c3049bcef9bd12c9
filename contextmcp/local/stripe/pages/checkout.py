"""The hosted Checkout page: an order, a card, a promotion code, and the card owner's confirmation when the bank wants it."""

from contextmcp.local.stripe import cards, checkout, money, pricing
from contextmcp.local.stripe.errors import Refusal
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.pages.html import e, error, gone, html, layout, redirect, submitted
from contextmcp.local.stripe.proration import day
from contextmcp.local.stripe.simulator import Answer, Request, Simulator
from contextmcp.local.stripe.unit import Unit


def respond(sim: Simulator, request: Request, steps: list[str]) -> Answer:
    message: str | None = None
    given = submitted(request) if request.method == "POST" else {}
    if given:
        try:
            done = _act(sim, steps[0], given)
            if done is not None:
                return done
        except Refusal as refusal:
            message = refusal.message
    with sim.unit() as unit:
        session = unit.get(steps[0])
        if session is None or session["object"] != "checkout.session":
            return gone("There is no such Checkout page.")
        if session["status"] == "complete":
            return redirect(_success(session))
        if session["status"] == "expired":
            return gone("This Checkout page has expired.", 410)
        return html(_page(unit, session, given, message), 402 if message else 200)
    raise AssertionError("a unit of work ends by answering")


def _success(session: Obj) -> str:
    url = session["success_url"] or "/"
    return str(url).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _act(sim: Simulator, id: str, given: dict[str, str]) -> Answer | None:
    """What the form asks: use a code, pay, or answer the bank's question."""
    action = given.get("action", "pay")
    with sim.unit() as unit:
        session = unit.need("checkout.session", id)
        if action == "promotion":
            checkout.use_code(unit, session, given.get("promotionCode", ""))
            return None
        if action == "remove_promotion":
            session["_discounts"] = []
            checkout.count(unit, session)
            return None
        if action == "deny":
            raise Refusal("We are unable to authenticate your payment method. Please choose a different payment method and try again.")
        code = given.get("promotionCode")
        if code and session["allow_promotion_codes"] and not session["_discounts"]:
            checkout.use_code(unit, session, code)
        iban = given.get("iban", "") if "sepa_debit" in session["payment_method_types"] else ""
        card, expiry = (None, {}) if iban else _card(session, given)
        details = {"email": given.get("email") or session["customer_email"], "name": given.get("billingName")}
        if not details["email"] and not session["customer"]:
            raise Refusal("Please enter your email.", param="email")
        outcome = checkout.complete(unit, session, card, details, expiry, authenticated=action == "authenticate", iban=iban)
        if outcome == "requires_action":
            return html(_bank(session, given))
        return redirect(_success(session))


def _card(session: Obj, given: dict[str, str]) -> tuple[cards.Card | None, Params]:
    if not checkout.needs_card(session) and not given.get("cardNumber"):
        return None, {}
    if not given.get("cardNumber"):
        raise Refusal("Please enter your card number.", param="cardNumber")
    month, _, year = given.get("cardExpiry", "12/34").replace(" ", "").partition("/")
    if not (month.isdigit() and year.isdigit() and 1 <= int(month) <= 12):
        raise Refusal("Your card's expiration date is invalid.", param="cardExpiry")
    return cards.of_number(given["cardNumber"]), {"exp_month": int(month), "exp_year": 2000 + int(year) % 100}


def _page(unit: Unit, session: Obj, given: dict[str, str], message: str | None) -> str:
    return layout("Checkout", _summary(unit, session) + _form(unit, session, given, message))


def _summary(unit: Unit, session: Obj) -> str:
    currency = session["currency"] or "usd"
    rows = ""
    for row in session["_rows"]:
        price = checkout.price_of(unit, row)
        each = f"{money.spoken(pricing.unit_amount(price), currency)}{pricing.every(price)}"
        quantity = f" {money.TIMES} {row['quantity']}" if (row["quantity"] or 1) != 1 else ""
        kind = "billed by use" if pricing.is_metered(price) else each
        rows += f'<tr><td>{e(pricing.name(unit, price))}{quantity}</td><td class="amount">{e(kind)}</td></tr>'
    if off := session["total_details"]["amount_discount"]:
        rows += f'<tr><td>Discount</td><td class="amount">{e(money.spoken(-off, currency))}</td></tr>'
    trial = checkout.trial_end(unit, session) if session["mode"] == "subscription" else None
    until = f'<p class="quiet">Free trial until {day(trial)}; the first payment follows then.</p>' if trial else ""
    total = money.spoken(session["amount_total"] or 0, currency)
    cancel = f'<p><a href="{e(session["cancel_url"])}">&larr; Back</a></p>' if session["cancel_url"] else ""
    return (
        f'<section aria-label="Order">{cancel}<h1>Order</h1><p class="quiet">Due today</p><p class="big" id="total">{e(total)}</p>{until}'
        f"<table>{rows}</table></section>"
    )


def _form(unit: Unit, session: Obj, given: dict[str, str], message: str | None) -> str:
    customer = unit.get(session["customer"] or "")
    email = given.get("email") or session["customer_email"] or (customer or {}).get("email") or ""
    fixed = " readonly" if session["customer"] or session["customer_email"] else ""
    label = {"subscription": "Subscribe", "payment": "Pay", "setup": "Save card"}[session["mode"]]
    trial = session["mode"] == "subscription" and checkout.trial_end(unit, session) is not None
    debit = _debit_field(session)
    return (
        f'<section aria-label="Payment"><h2>Payment</h2>{error(message)}'
        f'<form method="post" id="payment-form"><input type="hidden" name="action" value="pay">'
        f'<label for="email">Email</label>'
        f'<input id="email" name="email" type="email" autocomplete="email" value="{e(email)}"{fixed} required>'
        f"{debit}{_card_fields(given, 'iban' not in debit) if checkout.needs_card(session) else ''}"
        f'<label for="billingName">Name on card</label><input id="billingName" name="billingName" autocomplete="cc-name" '
        f'value="{e(given.get("billingName", ""))}">'
        f'<button class="wide" type="submit" id="submit">{"Start trial" if trial else label}</button></form>'
        f"{_promotion(unit, session)}</section>"
    )


def _debit_field(session: Obj) -> str:
    if "sepa_debit" not in session["payment_method_types"]:
        return ""
    return '<label for="iban">IBAN, to pay by SEPA debit instead of a card</label><input id="iban" name="iban">'


def _card_fields(given: dict[str, str], required: bool) -> str:
    must = "required" if required else ""
    return (
        '<label for="cardNumber">Card number</label><input id="cardNumber" name="cardNumber" inputmode="numeric" autocomplete="cc-number" '
        f'placeholder="4242 4242 4242 4242" value="{e(given.get("cardNumber", ""))}" {must}><div class="row"><div>'
        '<label for="cardExpiry">Expiry</label><input id="cardExpiry" name="cardExpiry" autocomplete="cc-exp" placeholder="12 / 34" '
        f'value="{e(given.get("cardExpiry", ""))}" {must}></div><div><label for="cardCvc">CVC</label><input id="cardCvc" name="cardCvc" '
        f'inputmode="numeric" autocomplete="cc-csc" placeholder="123" value="{e(given.get("cardCvc", ""))}" {must}></div></div>'
    )


def _promotion(unit: Unit, session: Obj) -> str:
    used = [unit.get(row.get("promotion_code") or "") for row in session["_discounts"]]
    names = [row["code"] for row in used if row]
    if names and session["allow_promotion_codes"]:
        return (
            f'<form method="post"><p class="quiet">Promotion code <strong>{e(names[0])}</strong> is applied.</p>'
            '<button class="plain" name="action" value="remove_promotion">Remove it</button></form>'
        )
    if not session["allow_promotion_codes"]:
        return ""
    return (
        '<form method="post" id="promotion-form"><label for="promotionCode">Promotion code</label>'
        '<input id="promotionCode" name="promotionCode"><button class="plain" name="action" value="promotion">Apply</button></form>'
    )


def _bank(session: Obj, given: dict[str, str]) -> str:
    """The bank's page. The card travels along in the form: nothing is kept of it until its owner has confirmed."""
    hidden = "".join(f'<input type="hidden" name="{e(name)}" value="{e(value)}">' for name, value in given.items() if name != "action")
    amount = money.spoken(session["amount_total"] or 0, session["currency"] or "usd")
    return layout(
        "Confirm your payment",
        f'<section><h1>Your bank asks you to confirm</h1><p>3D Secure test page: a payment of {e(amount)}.</p><form method="post">{hidden}'
        '<button name="action" value="authenticate" id="confirm">Confirm</button> '
        '<button class="plain" name="action" value="deny" id="deny">Deny</button></form></section>',
        one=True,
    )
