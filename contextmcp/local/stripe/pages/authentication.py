"""The bank's question about a payment that was begun elsewhere: `next_action.redirect_to_url` of an intent leads here."""

from contextmcp.local.stripe import collecting, payments, setups
from contextmcp.local.stripe.errors import Refusal
from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.pages.html import e, error, gone, html, layout, redirect, submitted
from contextmcp.local.stripe.simulator import Answer, Request, Simulator
from contextmcp.local.stripe.unit import Unit


def respond(sim: Simulator, request: Request, steps: list[str]) -> Answer:
    message: str | None = None
    with sim.unit() as unit:
        intent = unit.get(steps[0])
        if intent is None or intent["object"] not in ("payment_intent", "setup_intent"):
            return gone("There is nothing to confirm here.")
        if request.method == "POST" and intent["status"] == "requires_action":
            try:
                _answer(unit, intent, submitted(request).get("action") == "authenticate")
            except Refusal as refusal:
                message = refusal.message
        if intent["status"] != "requires_action" and intent.get("_return_url"):
            return redirect(intent["_return_url"])
        return html(_page(intent, message))
    raise AssertionError("a unit of work ends by answering")


def _answer(unit: Unit, intent: Obj, confirmed: bool) -> None:
    method = unit.need("payment_method", intent["payment_method"])
    if intent["object"] == "setup_intent":
        if confirmed:
            setups.set_up(unit, intent, method, authenticated=True)
        else:
            intent |= {"status": "requires_payment_method", "next_action": None, "payment_method": None}
            unit.save(intent)
        return
    invoice = unit.get(intent.get("_invoice") or "")
    if not confirmed:
        payments.deny(unit, intent)
    elif invoice is not None:
        collecting.collect(unit, invoice, method=method, authenticated=True)
    else:
        payments.confirm(unit, intent, method, authenticated=True)


def _page(intent: Obj, message: str | None) -> str:
    if intent["status"] != "requires_action":
        return layout("Done", f"<section><h1>Nothing to confirm: {e(intent['status'])}</h1></section>", one=True)
    return layout(
        "Confirm your payment",
        f'<section><h1>Your bank asks you to confirm</h1>{error(message)}<form method="post">'
        '<button name="action" value="authenticate" id="confirm">Confirm</button> '
        '<button class="plain" name="action" value="deny" id="deny">Deny</button></form></section>',
        one=True,
    )
