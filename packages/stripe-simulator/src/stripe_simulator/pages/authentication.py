"""The bank's authentication page, to which an intent's `next_action.redirect_to_url` leads."""

from stripe_simulator import invoice_collection, payments, setup_intents
from stripe_simulator.errors import Refusal
from stripe_simulator.pages.html import error, esc, form_data, html, layout, not_found, redirect
from stripe_simulator.simulator import Request, Response, Simulator
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit


def respond(sim: Simulator, request: Request, steps: list[str]) -> Response:
    message: str | None = None
    with sim.unit() as unit:
        intent = unit.get(steps[0])
        if intent is None or intent["object"] not in ("payment_intent", "setup_intent"):
            return not_found("There is nothing to confirm here.")
        if request.method == "POST" and intent["status"] == "requires_action":
            try:
                _complete(unit, intent, form_data(request).get("action") == "authenticate")
            except Refusal as refusal:
                message = refusal.message
        if intent["status"] != "requires_action" and intent.get("_return_url"):
            return redirect(intent["_return_url"])
        return html(_page(intent, message))
    raise AssertionError("unreachable: the unit of work returns or raises")


def _complete(unit: Unit, intent: Obj, confirmed: bool) -> None:
    method = unit.require("payment_method", intent["payment_method"])
    if intent["object"] == "setup_intent":
        if confirmed:
            setup_intents.set_up(unit, intent, method, authenticated=True)
        else:
            intent |= {"status": "requires_payment_method", "next_action": None, "payment_method": None}
            unit.save(intent)
        return
    invoice = unit.get(intent.get("_invoice") or "")
    if not confirmed:
        payments.fail_authentication(unit, intent)
    elif invoice is not None:
        invoice_collection.collect(unit, invoice, method=method, authenticated=True)
    else:
        payments.confirm(unit, intent, method, authenticated=True)


def _page(intent: Obj, message: str | None) -> str:
    if intent["status"] != "requires_action":
        return layout("Done", f"<section><h1>Nothing to confirm: {esc(intent['status'])}</h1></section>", one=True)
    return layout(
        "Confirm your payment",
        f'<section><h1>Your bank asks you to confirm</h1>{error(message)}<form method="post">'
        '<button name="action" value="authenticate" id="confirm">Confirm</button> '
        '<button class="plain" name="action" value="deny" id="deny">Deny</button></form></section>',
        one=True,
    )
