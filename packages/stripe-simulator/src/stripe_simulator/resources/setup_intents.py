"""Setup intents, which prepare a payment method for later charges."""

from stripe_simulator import payments, setup_intents
from stripe_simulator.defaults import merge_metadata
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit
from stripe_simulator.lists import page
from stripe_simulator.parameters import accept_only, read_all
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


@route("POST", "/v1/setup_intents")
def create(unit: Unit, p: Params) -> Obj:
    if p.get("customer"):
        unit.require("customer", p["customer"], "customer")
    setup = setup_intents.new_setup(unit, p.get("customer"), description=p.get("description"))
    merge_metadata(setup, p.get("metadata"))
    setup["usage"] = p.get("usage", "off_session")
    setup["_return_url"] = p.get("return_url")
    accept_only(p, "payment_method_types", ["card"])
    setup["automatic_payment_methods"] = read_all(p.get("automatic_payment_methods"))
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
    setup_intents.set_up(unit, setup, unit.require("payment_method", setup["payment_method"]))


@route("GET", "/v1/setup_intents/{intent}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("setup_intent", p["intent"])


@route("POST", "/v1/setup_intents/{intent}")
def update(unit: Unit, p: Params) -> Obj:
    setup = unit.require("setup_intent", p["intent"])
    merge_metadata(setup, p.get("metadata"))
    setup |= {name: p[name] for name in ("customer", "description") if name in p}
    if method := p.get("payment_method"):
        setup["payment_method"] = payments.method(unit, method)["id"]
        setup["status"] = "requires_confirmation"
    unit.save(setup)
    return setup


@route("POST", "/v1/setup_intents/{intent}/confirm")
def confirm(unit: Unit, p: Params) -> Obj:
    setup = unit.require("setup_intent", p["intent"])
    if method := p.get("payment_method"):
        setup["payment_method"] = payments.method(unit, method)["id"]
    setup["_return_url"] = p.get("return_url")
    _confirm(unit, setup)
    return setup


@route("POST", "/v1/setup_intents/{intent}/cancel")
def cancel(unit: Unit, p: Params) -> Obj:
    setup = unit.require("setup_intent", p["intent"])
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


@route("GET", "/v1/setup_intents")
def index(unit: Unit, p: Params) -> Obj:
    setups = unit.find("setup_intent", customer=p.get("customer"))
    if "payment_method" in p:
        setups = [setup for setup in setups if setup["payment_method"] == p["payment_method"]]
    return page("/v1/setup_intents", setups, p)
