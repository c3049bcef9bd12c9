"""Setup intents: a card made ready for later."""

from contextmcp.local.stripe import payments, setups
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.parameters import only, take_all
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import merge_metadata
from contextmcp.local.stripe.unit import Unit


@answers("POST", "/v1/setup_intents")
def create(unit: Unit, p: Params) -> Obj:
    if p.get("customer"):
        unit.need("customer", p["customer"], "customer")
    setup = setups.new_setup(unit, p.get("customer"), description=p.get("description"))
    merge_metadata(setup, p.get("metadata"))
    setup["usage"] = p.get("usage", "off_session")
    setup["_return_url"] = p.get("return_url")
    only(p, "payment_method_types", ["card"])
    setup["automatic_payment_methods"] = take_all(p.get("automatic_payment_methods"))
    if method := p.get("payment_method"):
        setup["payment_method"] = payments.method(unit, method)["id"]
        setup["status"] = "requires_confirmation"
    if p.get("confirm"):
        _confirm(unit, setup)
    return setup


def _confirm(unit: Unit, setup: Obj) -> None:
    if setup["status"] in ("succeeded", "canceled"):
        message = f"You cannot confirm this SetupIntent because it has a status of {setup['status']}."
        raise invalid(message, code="setup_intent_unexpected_state")
    if not setup["payment_method"]:
        raise invalid("You cannot confirm this SetupIntent because it's missing a payment method.", "payment_method")
    setups.set_up(unit, setup, unit.need("payment_method", setup["payment_method"]))


@answers("GET", "/v1/setup_intents/{intent}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("setup_intent", p["intent"])


@answers("POST", "/v1/setup_intents/{intent}")
def update(unit: Unit, p: Params) -> Obj:
    setup = unit.need("setup_intent", p["intent"])
    merge_metadata(setup, p.get("metadata"))
    setup |= {name: p[name] for name in ("customer", "description") if name in p}
    if method := p.get("payment_method"):
        setup["payment_method"] = payments.method(unit, method)["id"]
        setup["status"] = "requires_confirmation"
    unit.save(setup)
    return setup


@answers("POST", "/v1/setup_intents/{intent}/confirm")
def confirm(unit: Unit, p: Params) -> Obj:
    setup = unit.need("setup_intent", p["intent"])
    if method := p.get("payment_method"):
        setup["payment_method"] = payments.method(unit, method)["id"]
    setup["_return_url"] = p.get("return_url")
    _confirm(unit, setup)
    return setup


@answers("POST", "/v1/setup_intents/{intent}/cancel")
def cancel(unit: Unit, p: Params) -> Obj:
    setup = unit.need("setup_intent", p["intent"])
    if setup["status"] in ("succeeded", "canceled"):
        raise invalid(
            f"You cannot cancel this SetupIntent because it has a status of {setup['status']}.", code="setup_intent_unexpected_state"
        )
    setup["status"] = "canceled"
    setup["next_action"] = None
    setup["cancellation_reason"] = p.get("cancellation_reason")
    unit.save(setup)
    emit(unit, "setup_intent.canceled", setup)
    return setup


@answers("GET", "/v1/setup_intents")
def index(unit: Unit, p: Params) -> Obj:
    found = unit.find("setup_intent", customer=p.get("customer"))
    if "payment_method" in p:
        found = [setup for setup in found if setup["payment_method"] == p["payment_method"]]
    return page("/v1/setup_intents", found, p)
