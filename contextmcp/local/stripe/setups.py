"""Setup intents at work: a card made ready to be charged without its owner."""

from contextmcp.local.stripe import payments
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit
from contextmcp.local.stripe.kinds import Obj, ident, new_id
from contextmcp.local.stripe.shape import blank
from contextmcp.local.stripe.unit import Unit


def new_setup(unit: Unit, customer: str | None, **values: object) -> Obj:
    id = new_id("seti", 24)
    setup = blank(
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
    """Make a card ready for later charges: "succeeded" or "requires_action"; a refused card raises."""
    if method["type"] != "card":
        raise invalid("The local simulator sets up cards only.", "payment_method")
    card = payments.card_of(method)
    if card.refused:
        setup["last_setup_error"] = payments.error_of(card.refused, None, method)
        unit.save(setup)
        emit(unit, "setup_intent.setup_failed", setup)
        raise card.refusal(card.refused, keep=True)
    setup["payment_method"] = method["id"]
    if card.asks and not method["_ready"] and not authenticated:
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
    if customer := ident(setup["customer"]):
        payments.attach(unit, method, unit.need("customer", customer))
    unit.save(setup)
    emit(unit, "setup_intent.succeeded", setup)
    return "succeeded"
