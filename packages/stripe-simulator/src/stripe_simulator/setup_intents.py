"""Execute setup intents: prepare a payment method for off-session charges."""

from stripe_simulator import payments
from stripe_simulator.defaults import new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit
from stripe_simulator.types import Obj, id_of, new_id
from stripe_simulator.unit_of_work import Unit


def new_setup(unit: Unit, customer: str | None, **values: object) -> Obj:
    id = new_id("seti", 24)
    setup = new_object(
        "setup_intent",
        id=id,
        client_secret=f"{id}_secret_{new_id('x', 25)[2:]}",
        customer=customer,
        metadata={},
        payment_method_types=["card"],
        status="requires_payment_method",
        usage="off_session",
        **values,
    )
    setup["created"] = unit.now(setup)
    unit.add(setup)
    emit(unit, "setup_intent.created", setup)
    return setup


def set_up(unit: Unit, setup: Obj, method: Obj, *, authenticated: bool = False) -> str:
    """Set up a card for later charges. Return "succeeded" or "requires_action". Raises if the card is declined."""
    if method["type"] != "card":
        raise invalid("The local simulator sets up cards only.", "payment_method")
    card = payments.card_of(method)
    if card.attach_decline:
        setup["last_setup_error"] = payments.decline_error(card.attach_decline, None, method)
        unit.save(setup)
        emit(unit, "setup_intent.setup_failed", setup)
        raise card.refusal(card.attach_decline, keep=True)
    setup["payment_method"] = method["id"]
    if card.authentication and not method["_ready"] and not authenticated:
        setup["status"] = "requires_action"
        setup["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": setup.get("_return_url"), "url": f"{unit.base_url}/3ds/{setup['id']}"},
        }
        unit.save(setup)
        emit(unit, "setup_intent.requires_action", setup)
        return "requires_action"
    setup["status"] = "succeeded"
    setup["next_action"] = None
    method["_ready"] = True
    unit.save(method)
    if customer := id_of(setup["customer"]):
        payments.attach(unit, method, unit.require("customer", customer))
    unit.save(setup)
    emit(unit, "setup_intent.succeeded", setup)
    return "succeeded"
